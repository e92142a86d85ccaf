//go:build unix

package extract_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tareml/tare/extract"
)

// asUser runs the test once more as a user who is not root, below a directory of
// his own. It is true in there.
func asUser(t *testing.T) (dir string, ok bool) {
	t.Helper()
	const where = "TARE_TEST_DIR"
	if dir := os.Getenv(where); dir != "" {
		return dir, true
	}
	if os.Getuid() != 0 {
		return t.TempDir(), true
	}
	dir, err := os.MkdirTemp("/tmp", "user")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	binary := filepath.Join(dir, "test")
	self, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = errors.Join(os.WriteFile(binary, self, 0o755), os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "home"), 0o755), os.Chown(filepath.Join(dir, "home"), 1000, 1000))
	}
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), binary, "-test.run", "^"+t.Name()+"$")
	c.Dir, c.Env = dir, []string{where + "=" + filepath.Join(dir, "home")}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("as another user: %v\n%s", err, out)
	}
	return "", false
}

// TestReadOnlyFiles: who is not root cannot write to files of such a mode, but
// can make them, make them again, and go on after an error.
func TestReadOnlyFiles(t *testing.T) {
	t.Parallel()
	home, ok := asUser(t)
	if !ok {
		return
	}
	dir := filepath.Join(home, "dest")
	o := with(func(o *extract.Options) { o.Mode = 0o444 })
	v1, v2 := everyFormat("content"), everyFormat("other content")
	for i, a := range []*artifact{v1, v2} {
		a.file("big.tar", large("tar"+string(rune('1'+i))))
		a.raw("big.raw", large("raw"+string(rune('1'+i))))
	}
	run(t, v1.models(), dir, o)
	run(t, v1.offline(), dir, o)
	run(t, v2.models(), dir, o)
	if mode := stat(t, filepath.Join(dir, "big.tar")).Mode(); mode != 0o444 {
		t.Errorf("mode %v", mode)
	}
	v1.raw("in the way", "x")
	write(t, filepath.Join(dir, "in the way", "mine"), "mine")
	if _, err := extract.Extract(t.Context(), v1.models(), dir, o); err == nil {
		t.Error("no error")
	}
	if err := os.RemoveAll(filepath.Join(dir, "in the way")); err != nil {
		t.Fatal(err)
	}
	run(t, v1.models(), dir, o)
	if got := tree(t, dir); got["big.raw"] != large("raw1") || got["in the way"] != "x" {
		t.Error("the first version did not come back")
	}
}

// TestDirectoryOfSomebodyElse: an error of the destination, nothing else.
func TestDirectoryOfSomebodyElse(t *testing.T) {
	t.Parallel()
	home, ok := asUser(t)
	if !ok {
		return
	}
	dir := filepath.Join(home, "dest")
	if err := os.Mkdir(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{dir, filepath.Join(dir, "sub")} {
		if _, err := extract.Extract(t.Context(), version("a", "1").models(), dir, options); !errors.Is(err, os.ErrPermission) {
			t.Errorf("error %v, want %v", err, os.ErrPermission)
		}
	}
}
