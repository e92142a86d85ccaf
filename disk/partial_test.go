package disk_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tareml/tare/disk"
)

// TestPartialState comes back only to whom it is of use.
func TestPartialState(t *testing.T) {
	for name, test := range map[string]struct {
		host   string
		size   int64
		happen func(path string) error
		want   string
	}{
		"the same again": {host: "h", size: 4, want: "state"},
		"another host":   {host: "i", size: 4},
		"another size":   {host: "h", size: 5},
		"cut off":        {host: "h", size: 4, happen: func(path string) error { return os.Truncate(path, 1) }},
		"data gone":      {host: "h", size: 4, happen: os.Remove},
	} {
		t.Run(name, func(t *testing.T) {
			root, err := os.OpenRoot(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			first := open(t, root, 4, "h")
			if _, err := first.WriteAt([]byte("da"), 0); err != nil {
				t.Fatal(err)
			}
			if err := first.SaveState([]byte("state")); err != nil {
				t.Fatal(err)
			}
			first.Close()
			if test.happen != nil {
				if err := test.happen(filepath.Join(root.Name(), "x")); err != nil {
					t.Fatal(err)
				}
			}
			second := open(t, root, test.size, test.host)
			defer second.Close()
			if got, err := second.LoadState(); err != nil || string(got) != test.want {
				t.Errorf("state %q, %v, want %q", got, err, test.want)
			}
			if err := disk.RemovePartial(root, "x"); err != nil {
				t.Error(err)
			}
			if entries, err := os.ReadDir(root.Name()); err != nil || len(entries) > 0 {
				t.Errorf("left: %v, %v", entries, err)
			}
		})
	}
}

func open(t *testing.T, root *os.Root, size int64, host string) *disk.Partial {
	t.Helper()
	p, err := disk.OpenPartial(root, "x", size, host)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPartialFilesEndWithTheData: state without data is worse than the reverse.
func TestPartialFilesEndWithTheData(t *testing.T) {
	if files := disk.PartialFiles("x"); slices.Index(files, "x") != len(files)-1 {
		t.Errorf("%q", files)
	}
}

// TestIdentityNoticesAChange of the same size.
func TestIdentityNoticesAChange(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	identify := func(content string) disk.Identity {
		if err := os.WriteFile(name+".new", []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return disk.Identify(info)
	}
	before := identify("one")
	keep, err := os.Open(name) // so that its inode is not given to another
	if err != nil {
		t.Fatal(err)
	}
	defer keep.Close()
	if after := identify("two"); after == before && before.Known {
		t.Error("another file has the same identity")
	}
}

func TestHostID(t *testing.T) {
	if disk.JoinID("m", "") != "" {
		t.Error("a boot that cannot be told has an id")
	}
	if disk.JoinID("m", "b") == disk.JoinID("m", "c") || disk.JoinID("m", "b") == disk.JoinID("n", "b") {
		t.Error("two hosts have one id")
	}
	first := disk.HostID()
	if again := disk.HostID(); again != first {
		t.Errorf("the id changes from %s to %s", first, again)
	}
}
