package extract

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/modelpack"
)

// stateVersion is what state files are written in.
const stateVersion = 1

// maxState bounds the state file that is read, in bytes. A quarter of a million
// files take a tenth of it.
const maxState = 512 << 20

// state is what runs before this one have written into a destination.
type state struct {
	Version  int       `json:"version"`
	Releases []release `json:"releases"` // the newest last
}

// release is the files below one directory of the destination.
type release struct {
	Name   string      `json:"name,omitempty"` // of the directory in releases/; empty is the destination itself
	Models []installed `json:"models"`
}

// installed is a version of a model that was written.
type installed struct {
	Repository string        `json:"repository"`
	Subdir     string        `json:"subdir,omitempty"`
	Digest     digest.Digest `json:"digest"`
	Filter     string        `json:"filter,omitempty"` // what was asked for
	Host       string        `json:"host,omitempty"`   // set if only this boot of a machine can vouch for the content
	Layers     []layerFiles  `json:"layers"`
}

// layerFiles are the files that a layer brought.
type layerFiles struct {
	Digest digest.Digest `json:"digest"`
	As     string        `json:"as,omitempty"` // how the layer was read: the same bytes may be an archive or a file
	Kind   string        `json:"kind"`
	Name   string        `json:"name,omitempty"`
	Whole  bool          `json:"whole,omitempty"` // nothing of the layer was left out
	Rest   bool          `json:"rest,omitempty"`  // only what a later run's filter left alone
	Files  []record      `json:"files"`
}

// record is a file as it was written. The times are in nanoseconds. Without a
// change time nobody can tell whether it still is that file.
type record struct {
	Path       string `json:"path"` // below the release
	Size       int64  `json:"size"`
	MTime      int64  `json:"mtime_ns,omitempty"`
	CTime      int64  `json:"ctime_ns,omitempty"`
	Inode      uint64 `json:"inode,omitempty"`
	Link       string `json:"link,omitempty"`       // what a symbolic link points to
	Executable bool   `json:"executable,omitempty"` // in the artifact
	Found      bool   `json:"found,omitempty"`      // it was there before, with this content: not ours
	Pending    bool   `json:"pending,omitempty"`    // it was about to be written: ours if it is there
}

// newRecord is r as the file is now.
func newRecord(r record, info fs.FileInfo) record {
	id := disk.Identify(info)
	r.Size, r.Inode, r.MTime, r.CTime = info.Size(), id.Ino, 0, 0
	if id.Known {
		r.MTime, r.CTime = id.MTime, id.CTime
	}
	return r
}

// intact says whether the file of which info is, is still as it was written.
func (r record) intact(info fs.FileInfo) bool {
	if r.Pending || r.CTime == 0 {
		return false
	}
	id, kind := disk.Identify(info), fs.FileMode(0)
	if r.Link != "" {
		kind = fs.ModeSymlink
	}
	return id.Known && id.Ino == r.Inode && id.CTime == r.CTime && id.MTime == r.MTime && info.Size() == r.Size &&
		info.Mode().Type() == kind
}

// confirm is the record of a file that r says is there, as it is now. One that
// somebody changed since is not to be trusted.
func (r record) confirm(info fs.FileInfo) (_ record, ok bool) {
	known := r.CTime != 0 || r.Pending
	ok = !known || r.intact(info) || r.Pending && r.isPending(info)
	r.Pending = false
	if r = newRecord(r, info); !ok {
		r.CTime = 0
	}
	return r, ok
}

// isPending says whether the file is the one that was about to be written. Its
// new name has changed its change time.
func (r record) isPending(info fs.FileInfo) bool {
	return disk.Identify(info).Ino == r.Inode && info.ModTime().UnixNano() == r.MTime && info.Size() == r.Size
}

// as says how a layer is read: in which format, and where its entries go.
func as(l modelpack.Layer) string { return strings.TrimSpace(string(l.Format) + " " + l.Dir) }

// is says whether these are files of l, read as it is to be read now.
func (f *layerFiles) is(l modelpack.Layer) bool { return f.Digest == l.Digest && f.As == as(l) }

// is says whether i is an earlier version of m.
func (i *installed) is(m *Model) bool { return i.Repository == m.Repository && i.Subdir == m.Subdir }

// files yields the records of all files.
func (i *installed) files(yield func(*layerFiles, *record) bool) {
	for l := range i.Layers {
		for f := range i.Layers[l].Files {
			if !yield(&i.Layers[l], &i.Layers[l].Files[f]) {
				return
			}
		}
	}
}

// loadState reads the state of a destination. A state that cannot be read is
// none: then files are compared with what the artifact holds.
func loadState(root *os.Root) (*state, error) {
	none := &state{Version: stateVersion}
	f, err := root.Open(stateName)
	if errors.Is(err, fs.ErrNotExist) {
		return none, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxState))
	if err != nil {
		return nil, err
	}
	s, err := parseState(data)
	if errors.Is(err, errNewerState) {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	if err != nil {
		return none, nil
	}
	return s, nil
}

var errNewerState = errors.New("written by a newer version of tare")

// parseState reads a state. What it says of paths that no artifact may have is
// dropped.
func parseState(data []byte) (*state, error) {
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return nil, err
	}
	if version.Version > stateVersion {
		return nil, errNewerState
	}
	if version.Version != stateVersion {
		return nil, fmt.Errorf("version %d", version.Version)
	}
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	var good []release
	for _, r := range s.Releases {
		if r.Name == "" || modelpack.CheckPath(r.Name) == nil && !strings.Contains(r.Name, "/") {
			r.dropBad()
			good = append(good, r)
		}
	}
	s.Releases = good
	return &s, nil
}

// dropBad drops what cannot be. What is left of a layer is not that layer.
func (r *release) dropBad() {
	for m := range r.Models {
		model := &r.Models[m]
		for l := range model.Layers {
			layer := &model.Layers[l]
			good := slices.DeleteFunc(slices.Clone(layer.Files), func(f record) bool { return !model.mayHave(f) })
			if len(good) < len(layer.Files) {
				layer.Files, layer.Digest, layer.Whole, model.Digest = good, "", false, ""
			}
		}
	}
}

// mayHave says whether a file can be one of the model's.
func (i *installed) mayHave(f record) bool {
	below := i.Subdir == "" || strings.HasPrefix(f.Path, i.Subdir+"/")
	return below && modelpack.CheckPath(f.Path) == nil && f.Size >= 0
}

// save replaces the state of a destination.
func (s *state) save(d *destination, sync bool) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := d.replace(stateName, data, sync); err != nil {
		return fmt.Errorf("writing the state of %s: %w", d.dir, err)
	}
	return nil
}

// release is the one of that name, nil if there is none.
func (s *state) release(name string) *release {
	for i := range s.Releases {
		if s.Releases[i].Name == name {
			return &s.Releases[i]
		}
	}
	return nil
}

// with is s with r as its newest release.
func (s *state) with(r release) *state {
	next := &state{Version: stateVersion}
	for _, old := range s.Releases {
		if old.Name != r.Name {
			next.Releases = append(next.Releases, old)
		}
	}
	next.Releases = append(next.Releases, r)
	return next
}

// with is r with these models in the place of their earlier versions.
func (r release) with(models []installed) release {
	next := release{Name: r.Name}
	for _, old := range r.Models {
		replaced := false
		for _, m := range models {
			replaced = replaced || old.Repository == m.Repository && old.Subdir == m.Subdir
		}
		if !replaced {
			next.Models = append(next.Models, old)
		}
	}
	next.Models = append(next.Models, models...)
	return next
}

// base is the directory of a release, below the destination.
func (r *release) base() string {
	if r.Name == "" {
		return "."
	}
	return path.Join(releasesName, r.Name)
}

// Version is a version of a model that a directory holds.
type Version struct {
	Repository string
	Subdir     string
	Digest     digest.Digest
	Filter     string // what [Filter.String] of the filter was
	Intact     bool   // its files are as they were written
}

// Installed says what dir holds by the records of earlier runs: without Atomic
// what is in dir itself, with it what current points to. It reads no content.
func Installed(dir string, atomic bool) ([]Version, error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	s, err := loadState(root)
	if err != nil {
		return nil, err
	}
	name := ""
	if atomic {
		if name = currentRelease(root); name == "" {
			return nil, nil
		}
	}
	r := s.release(name)
	if r == nil {
		return nil, nil
	}
	var versions []Version
	host := disk.HostID()
	for i := range r.Models {
		m := &r.Models[i]
		versions = append(versions, Version{
			Repository: m.Repository, Subdir: m.Subdir, Digest: m.Digest, Filter: m.Filter,
			Intact: m.safe(host) && m.intact(root, r.base()),
		})
	}
	return versions, nil
}

// safe says whether no crash can have taken what was written.
func (i *installed) safe(host string) bool { return i.Host == "" || i.Host == host }

// intact says whether all files are as they were written.
func (i *installed) intact(root *os.Root, base string) bool {
	for l, r := range i.files {
		if l.Rest { // nobody looks after it
			continue
		}
		info, err := root.Lstat(path.Join(base, r.Path))
		if err != nil || !r.intact(info) {
			return false
		}
	}
	return true
}
