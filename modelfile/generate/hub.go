package generate

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/tareml/tare/modelfile"
)

// sayOrigin states where the files are from, by what download tools left.
func (s *study) sayOrigin() {
	s.sayHubCache()
	s.sayGit()
	s.sayModelScope()
	s.sayHubDownload()
}

// sayHubCache knows the paths of Hugging Face's cache:
// models--ORG--NAME/snapshots/COMMIT.
func (s *study) sayHubCache() {
	abs, err := filepath.Abs(s.dir)
	if err != nil {
		return
	}
	parts := strings.Split(filepath.ToSlash(abs), "/")
	n := len(parts)
	if n < 3 || parts[n-2] != "snapshots" || !commitPattern.MatchString(parts[n-1]) {
		return
	}
	name, ok := strings.CutPrefix(parts[n-3], "models--")
	repo := strings.Replace(name, "--", "/", 1)
	if !ok || !datasetPattern.MatchString(repo) {
		return
	}
	const from = "from the path of the Hugging Face cache"
	s.say(modelfile.SourceURL, from, "https://huggingface.co/"+repo)
	s.say(modelfile.Revision, from, parts[n-1])
}

// hubDownloads is where Hugging Face's tools keep a file NAME.metadata for each
// file that they put into a directory. Its first line is the commit; the
// repository is not in it.
const hubDownloads = ".cache/huggingface/download"

// mostDownloads bounds how many of them are read.
const mostDownloads = 10_000

// sayHubDownload states the commit if all files came from the same one.
func (s *study) sayHubDownload() {
	if s.knows(modelfile.Revision) || s.knows(modelfile.SourceURL) {
		return // a commit of one repository says nothing about another one
	}
	commits := make(map[string]bool)
	left := mostDownloads
	// What cannot be walked was not downloaded so.
	_ = fs.WalkDir(s.fsys, hubDownloads, func(p string, d fs.DirEntry, err error) error {
		if err != nil || left == 0 {
			return fs.SkipAll
		}
		left--
		name, ok := strings.CutSuffix(strings.TrimPrefix(p, hubDownloads+"/"), ".metadata")
		if !ok || !s.paths[name] || !d.Type().IsRegular() {
			return nil
		}
		if commit := readLine(s.fsys, p); commitPattern.MatchString(commit) {
			commits[commit] = true
		}
		return nil
	})
	found := slices.Sorted(maps.Keys(commits))
	switch {
	case left == 0 || len(found) == 0:
	case len(found) > 1:
		s.notes.add("the files are from %d commits of a repository on Hugging Face, so that REVISION is left out", len(found))
	default:
		s.say(modelfile.Revision, "from "+hubDownloads, found[0])
	}
}

// ModelScope's tools keep a pickle of {"id": "ORG/NAME"} and a line
// Revision:v1.0.2,CreatedAt:1700000000.
const (
	scopeModel   = ".mdl"
	scopeVersion = ".mv"
)

var scopeRevision = regexp.MustCompile(`^Revision:([A-Za-z0-9][A-Za-z0-9._-]{0,127})(?:,|$)`)

func (s *study) sayModelScope() {
	if s.knows(modelfile.SourceURL) {
		return
	}
	data, err := readBounded(s.fsys, scopeModel, 4<<10)
	if err != nil {
		return
	}
	id, ok := repoID(pickledID(data))
	if !ok {
		return
	}
	s.say(modelfile.SourceURL, "from "+scopeModel, "https://modelscope.cn/models/"+id)
	v := scopeRevision.FindStringSubmatch(readLine(s.fsys, scopeVersion))
	if v != nil && v[1] != "master" && v[1] != "main" { // a branch is another one tomorrow
		s.say(modelfile.Revision, "from "+scopeVersion, v[1])
	}
}

// pickledID finds the value of id in the pickle of {"id": "ORG/NAME"}, which is not
// unpickled: strings stand in it as they are, behind their length in 1 byte since
// version 4 of the format and in 4 bytes before.
func pickledID(data []byte) string {
	for _, v := range [...]struct{ opcode, key string }{{"\x8c", "\x8c\x02id\x94"}, {"X", "X\x02\x00\x00\x00idq\x01"}} {
		_, rest, ok := bytes.Cut(data, []byte(v.key+v.opcode))
		if !ok || len(rest) < 4 {
			continue
		}
		n, width := int(rest[0]), 1
		if v.opcode == "X" {
			n, width = int(binary.LittleEndian.Uint32(rest)&0xffff), 4
		}
		if width+n <= len(rest) {
			return string(rest[width : width+n])
		}
	}
	return ""
}
