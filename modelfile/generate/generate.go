// Package generate writes a Modelfile for a directory of model files.
//
//	result, err := generate.Generate("Qwen3-0.6B", generate.Options{ParamSize: "0.6b"})
//	...
//	os.Stdout.Write(result.File.Format())
//
// Each statement about files matches just those that it is meant for: literally,
// or as a glob for shards and for many files alike. What a file is for is told by
// its content, else by its name; names that say nothing count as weights if the
// file is large and as code otherwise. Hidden files, caches, leftovers, secrets
// and what .tareignore names are not taken. [Result.Notes] says whatever was left
// out or assumed, [Result.Warnings] what may be wrong.
//
// What the model is comes from the [Options], else from its own files. The same
// directory always gives the same Modelfile.
package generate

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/weights"
)

// Options say what is known beforehand. What is empty is worked out.
type Options struct {
	Name, Arch, Family, Format         string
	ParamSize, Precision, Quantization string

	// Exclude and Include are doublestar globs of paths within the directory;
	// one that matches a directory covers all that is in it. Exclude leaves
	// files out and beats Include, which takes files that would be left out
	// otherwise, secrets too.
	Exclude, Include []string

	// Modctl leaves out what modctl does not know.
	Modctl bool

	// DedupeFormats leaves out weights that are in the directory in another format
	// too. The best format stays; safetensors if there is a choice.
	DedupeFormats bool
}

// Result is a Modelfile and how it came about.
type Result struct {
	File *modelfile.File
	// Notes says what was left out or assumed, one sentence each.
	Notes []string
	// Warnings says what somebody should look at: secrets, files that cannot be
	// read or are damaged, shards that are missing.
	Warnings []string
	// Damaged are those of the warnings that are about damage, which [Suspect] finds too.
	Damaged []string
	// Counts holds the files of each kind. Kinds without files are not in it.
	Counts map[modelpack.Kind]Count
}

// Count is a number of files and the number of bytes in them.
type Count struct {
	Files int
	Bytes int64
}

// Generate writes a Modelfile for the files in dir. Of large files it reads the
// headers only. Errors that the user can do something about have a method
// Hint() string, to be found by [errors.As].
func Generate(dir string, opts Options) (*Result, error) {
	s, err := survey(dir, opts)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.checkNames(), s.checkPointers(), s.checkUnfinished()); err != nil {
		return nil, err
	}
	dup := duplicates(s.files)
	if opts.DedupeFormats {
		s.files = dup.without(s.files)
	}
	if err := s.checkContent(dir); err != nil {
		return nil, err
	}
	s.findDamage()
	said := notes(slices.Concat(s.found.notes(), classNotes(s.files), trainingNotes(s.files), dup.notes(opts.DedupeFormats)))
	damaged := damageNotes(s.files)
	warned := notes(slices.Concat(s.warnings(), damaged))
	stray := strayLinks(dir, s.found.links)
	if len(stray) > 0 {
		warned.add("links out of the directory, which a build follows only with --follow-links: %s", some(stray))
	}
	facts := describe(s.fsys, dir, withoutStrayTexts(dup.once(s.files), stray), opts, &said, &warned)
	if opts.Modctl {
		facts = forModctl(facts)
		if odd := notForModctl(facts, s.files); len(odd) > 0 {
			warned.add("modctl would read something else, as it knows no escapes for * ? [ and control characters: %s", some(odd))
		}
	}
	result := &Result{File: new(modelfile.File), Notes: said, Warnings: warned, Damaged: damaged, Counts: count(s.files)}
	addFacts(result.File, facts)
	all := listing{names: s.found.seen, closed: s.found.closed}
	for _, kind := range modelpack.Kinds() {
		addFiles(result.File, kind, s.files, all, opts.Modctl)
	}
	return result, nil
}

// Listing is what is in a directory, by path.
type Listing struct {
	Files  []string // that belong to a model
	Copies []string // of its weights, those that DedupeFormats leaves out
}

// Files lists what is in dir.
func Files(dir string, opts Options) (*Listing, error) {
	s, err := survey(dir, opts)
	if err != nil {
		return nil, err
	}
	dup := duplicates(s.files)
	return &Listing{
		Files:  pathsOf(dup.without(s.files)),
		Copies: slices.Sorted(maps.Keys(dup.paths)),
	}, nil
}

// surveyed is a directory of which is known what its files are.
type surveyed struct {
	fsys       fs.FS
	found      *found
	files      []file
	unreadable []string
}

// survey finds the files that belong to the model, and what they are.
func survey(dir string, opts Options) (*surveyed, error) {
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	return surveyIn(os.DirFS(dir), opts)
}

func surveyIn(fsys fs.FS, opts Options) (*surveyed, error) {
	found, err := walk(fsys, opts)
	if err != nil {
		return nil, err
	}
	s := &surveyed{fsys: fsys, found: found}
	contents := s.dropSecrets(sniffAll(fsys, found.files))
	s.files = classify(found.files, contents)
	for i, c := range contents {
		if c.err != nil {
			s.unreadable = append(s.unreadable, found.files[i].path)
		}
	}
	return s, nil
}

// dropSecrets leaves out what is secret by its content, unless --include asks for
// it, and returns the contents of what stays.
func (s *surveyed) dropSecrets(contents []content) []content {
	w := s.found
	var entries []entry
	var kept []content
	for i, e := range w.files {
		switch {
		case contents[i].secret && !w.include.cover(e.path):
			w.leave(e.path, secret)
			continue
		case contents[i].secret && !slices.Contains(w.asked, e.path):
			w.asked = append(w.asked, e.path)
		}
		entries = append(entries, e)
		kept = append(kept, contents[i])
	}
	w.files = entries
	return kept
}

func (s *surveyed) warnings() []string {
	said := notes(s.found.warnings())
	if len(s.unreadable) > 0 {
		said.add("could not read %s, judged by name alone: %s", plural(len(s.unreadable), "file"), some(s.unreadable))
	}
	return said
}

// checkNames refuses what an artifact cannot hold: a build would, too.
func (s *surveyed) checkNames() error {
	for _, f := range s.files {
		if err := modelpack.CheckPath(f.path); err != nil {
			return &failure{msg: err.Error() + ", which an artifact cannot hold", hint: "rename it, or leave it out with --exclude"}
		}
	}
	return nil
}

// checkPointers refuses what Git LFS has in the place of files.
func (s *surveyed) checkPointers() error {
	var names []string
	for _, f := range s.files {
		if f.sniffed == weights.KindLFSPointer {
			names = append(names, f.path)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return OnlyPointers(names, "leave it out with --exclude")
}

// checkUnfinished refuses files that a download is not done with.
func (s *surveyed) checkUnfinished() error {
	names := s.found.unfinished()
	if len(names) == 0 {
		return nil
	}
	return &failure{
		msg:  fmt.Sprintf("%s: the download is not finished, as the .aria2 file beside it says", some(names)),
		hint: "finish it: aria2c -c; or leave it out with --exclude",
	}
}

const whichDir = "name the directory that holds the model's files"

func checkDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &failure{msg: fmt.Sprintf("directory %q: not found", dir), hint: whichDir, cause: err}
	case err != nil:
		return fmt.Errorf("directory %q: %w", dir, err)
	case !info.IsDir():
		return &failure{msg: fmt.Sprintf("%q is not a directory", dir), hint: whichDir}
	}
	return checkCache(dir)
}

// checkCache refuses a model's directory in the cache of Hugging Face, which has
// the files of all revisions below names that say nothing.
func checkCache(dir string) error {
	for _, name := range []string{"blobs", "refs"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || !info.IsDir() {
			return nil
		}
	}
	snapshots, err := os.ReadDir(filepath.Join(dir, "snapshots"))
	if err != nil || len(snapshots) == 0 {
		return nil
	}
	return &failure{
		msg:  fmt.Sprintf("directory %q is a cache of Hugging Face, not a model", dir),
		hint: "name a snapshot in it, such as " + filepath.Join(dir, "snapshots", snapshots[0].Name()),
	}
}

// checkContent refuses directories that hold no model.
func (s *surveyed) checkContent(dir string) error {
	worth := func(f file) bool { return f.kind != modelpack.Config && f.kind != modelpack.Doc }
	left := slices.Concat(s.found.warnings(), s.found.notes())
	switch {
	case len(s.files) == 0 && len(left) > 0:
		hint := strings.Join(left, "; ") + "; --include takes such files"
		return &failure{msg: fmt.Sprintf("directory %q: no files to package", dir), hint: hint}
	case len(s.files) == 0:
		return &failure{msg: fmt.Sprintf("directory %q: no files to package", dir), hint: whichDir}
	case !slices.ContainsFunc(s.files, worth):
		return &failure{
			msg:  fmt.Sprintf("directory %q: no weights, code or data among %s", dir, plural(len(s.files), "file")),
			hint: "write a Modelfile by hand if one of them is the model",
		}
	}
	return nil
}

func count(files []file) map[modelpack.Kind]Count {
	counts := make(map[modelpack.Kind]Count)
	for _, f := range files {
		c := counts[f.kind]
		counts[f.kind] = Count{c.Files + 1, c.Bytes + f.size}
	}
	return counts
}
