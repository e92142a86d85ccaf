package generate

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/tareml/tare/weights"
)

// What text and other files are where package weights does not tell them apart.
const (
	xgboostModel  weights.Kind = "xgboost"
	lightgbmModel weights.Kind = "lightgbm"
	catboostModel weights.Kind = "catboost"
	fasttextModel weights.Kind = "fasttext"
	ct2Model      weights.Kind = "ctranslate2"
	tfjsModel     weights.Kind = "tfjs"
	mxnetModel    weights.Kind = "mxnet"
	paddleProgram weights.Kind = "paddle"
	jsonRecords   weights.Kind = "json-records" // a list of objects
	jsonLines     weights.Kind = "json-lines"
	wordList      weights.Kind = "word-list" // a word or two a line
)

// content is what the content of a file says.
type content struct {
	kind   weights.Kind
	weak   bool // the name has to agree
	secret bool
	err    error // the file could not be read
}

const (
	// headLen is how much of a file's start is looked at here.
	headLen = 4 << 10
	// pointerLen is how large a Git LFS pointer can be: files up to there are
	// looked at whatever their names say.
	pointerLen = 1 << 10
	// glanceLen is how much is looked at of a file whose name says it all.
	glanceLen = 16
	// readers is how many files are read at once, for the sake of network file
	// systems.
	readers = 8
)

// sniffAll looks into the files, and gives what it finds in the order of the entries.
func sniffAll(fsys fs.FS, entries []entry) []content {
	contents := make([]content, len(entries))
	var group errgroup.Group
	group.SetLimit(readers)
	for i, e := range entries {
		if e.size == 0 {
			continue
		}
		group.Go(func() error {
			contents[i] = sniff(fsys, e, !contentMatters(e))
			return nil
		})
	}
	group.Wait()
	return contents
}

// sniff looks into a file. After a glance it leaves text alone: no weights that matter
// start like it, and the name says what it is.
func sniff(fsys fs.FS, e entry, glance bool) content {
	f, err := fsys.Open(e.path)
	if err != nil {
		return content{err: err}
	}
	defer f.Close()
	r, ok := f.(io.ReaderAt)
	if !ok {
		return content{}
	}
	if glance {
		head := make([]byte, glanceLen)
		n, err := r.ReadAt(head, 0)
		switch {
		case err != nil && err != io.EOF:
			return content{err: err}
		case startsText(head[:n]):
			return content{}
		}
	}
	match, err := weights.Sniff(r, e.size)
	if err != nil {
		return content{err: err}
	}
	c := content{kind: match.Kind, weak: match.Weak}
	key := isKeyName(strings.ToLower(path.Base(e.path)))
	switch match.Kind {
	case weights.KindJSON, weights.KindText, weights.KindUnknown, weights.KindZip:
		head := make([]byte, headLen)
		n, _ := r.ReadAt(head, 0)
		c.refine(head[:n])
		c.secret = c.secret || key && !isPublic(head[:n])
	default:
		c.secret = key
	}
	return c
}

// startsText says whether there are none of the bytes that formats of weights begin
// with and text has not.
func startsText(head []byte) bool {
	return !slices.ContainsFunc(head, func(c byte) bool { return c < '\t' || '\r' < c && c < ' ' })
}

// refine tells apart what looks the same to package weights. A key comes first: its
// lines look like words.
func (c *content) refine(head []byte) {
	if c.kind == weights.KindText || c.kind == weights.KindJSON {
		if c.secret = isSecretText(head); c.secret {
			return
		}
	}
	for _, s := range starts {
		if s.of == c.kind && s.is(head) {
			c.kind, c.weak = s.kind, false
			return
		}
	}
}

// starts knows files by how they start.
var starts = [...]struct {
	of, kind weights.Kind
	is       func(head []byte) bool
}{
	{weights.KindJSON, xgboostModel, startsJSON(`{"learner":{`)},
	{weights.KindJSON, tfjsModel, isTFJS},
	{weights.KindJSON, mxnetModel, startsJSON(`{"nodes":[{"op":`)},
	{weights.KindJSON, paddleProgram, startsJSON(`{"base_code":{"magic":"pir"`)},
	{weights.KindJSON, jsonLines, isJSONLines},
	{weights.KindJSON, jsonRecords, startsJSON(`[{"`)},
	{weights.KindText, lightgbmModel, startsWith("tree\nversion=v")},
	{weights.KindText, wordList, isWordList},
	{weights.KindUnknown, xgboostModel, startsWith("binf", "{L\x00\x00\x00\x00\x00\x00\x00")},
	{weights.KindUnknown, catboostModel, startsWith("CBM1")},
	{weights.KindUnknown, fasttextModel, startsWith("\xba\x16\x4f\x2f")},
	{weights.KindUnknown, mxnetModel, startsWith("\x12\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")},
	{weights.KindUnknown, ct2Model, isCTranslate2},
}

func startsWith(prefixes ...string) func([]byte) bool {
	return func(head []byte) bool {
		for _, p := range prefixes {
			if bytes.HasPrefix(head, []byte(p)) {
				return true
			}
		}
		return false
	}
}

// startsJSON compares without blanks.
func startsJSON(prefixes ...string) func([]byte) bool {
	return func(head []byte) bool {
		head = bytes.Join(bytes.Fields(head[:min(len(head), 512)]), nil)
		return startsWith(prefixes...)(head)
	}
}

func isTFJS(head []byte) bool {
	head = bytes.Join(bytes.Fields(head), nil)
	for _, sign := range []string{`"modelTopology":`, `"weightsManifest":`, `"format":"graph-model"`, `"format":"layers-model"`} {
		if bytes.Contains(head, []byte(sign)) {
			return true
		}
	}
	return false
}

// isJSONLines wants a whole object in the first line and the start of another in
// the second.
func isJSONLines(head []byte) bool {
	first, rest, ok := bytes.Cut(head, []byte("\n"))
	return ok && bytes.HasPrefix(first, []byte("{")) && bytes.HasPrefix(rest, []byte("{")) && json.Valid(first)
}

// isWordList wants several lines of a word or two, with nothing that looks like
// prose or addresses.
func isWordList(head []byte) bool {
	lines := bytes.Split(head, []byte("\n"))
	if len(lines) > 1 {
		lines = lines[:len(lines)-1] // which may be cut
	}
	const fewest, longest = 8, 64
	if len(lines) < fewest {
		return false
	}
	odd := 0
	for _, line := range lines {
		fields := bytes.Fields(line)
		if len(fields) == 0 || len(fields) > 2 || len(line) > longest || bytes.Contains(line, []byte("://")) {
			odd++
		}
	}
	return odd*20 <= len(lines)
}

// isCTranslate2 wants a version and the name of a specification.
func isCTranslate2(head []byte) bool {
	if len(head) < 8 || head[0] == 0 || head[0] > 32 || head[1] != 0 || head[2] != 0 || head[3] != 0 || head[5] != 0 {
		return false
	}
	name, _, ok := bytes.Cut(head[6:], []byte{0})
	return ok && len(name)+1 == int(head[4]) && bytes.HasSuffix(name, []byte("Spec"))
}
