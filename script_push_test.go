package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/rogpeppe/go-internal/testscript"
)

// cmdPush puts into a registry what other tools would have put there:
//
//	push REF FILE
//
// FILE is a manifest or an index in which descriptors need no digest and no
// size. Instead they say what they describe:
//
//	"text": TEXT      these bytes
//	"file": PATH      the bytes of a file
//	"dir": PATH       an archive of all that is below a directory
//	"manifest": PATH  a manifest of this kind, which is pushed too
//
// What has a media type that speaks of gzip or zstd is compressed. The variable
// PUSHED becomes the digest.
func cmdPush(ts *testscript.TestScript, _ bool, args []string) {
	host, rest, _ := strings.Cut(args[0], "/")
	name, tag, _ := strings.Cut(rest, ":")
	p := &pusher{ts, "http://" + host + "/v2/" + name}
	data := p.fill(args[1])
	ts.Setenv("PUSHED", p.manifest(tag, data).String())
}

// pusher puts things into one repository.
type pusher struct {
	ts   *testscript.TestScript
	base string // URL
}

// fill reads a manifest, pushes what its descriptors describe, and completes
// them.
func (p *pusher) fill(file string) []byte {
	var m map[string]any
	p.ts.Check(json.Unmarshal([]byte(p.ts.ReadFile(file)), &m))
	for _, part := range m {
		switch part := part.(type) {
		case map[string]any:
			p.complete(part)
		case []any:
			for _, desc := range part {
				p.complete(desc.(map[string]any))
			}
		}
	}
	data, err := json.Marshal(m)
	p.ts.Check(err)
	return data
}

// complete gives a descriptor its digest and its size. Other objects, such as
// annotations, stay as they are.
func (p *pusher) complete(desc map[string]any) {
	mediaType, ok := desc["mediaType"].(string)
	if !ok {
		return
	}
	var data []byte
	if file, ok := desc["manifest"].(string); ok {
		data = p.fill(file)
		p.manifest(digest.FromBytes(data).String(), data)
	} else {
		data = p.compress(mediaType, p.content(desc))
		p.blob(data)
	}
	for _, ours := range []string{"text", "file", "dir", "manifest"} {
		delete(desc, ours)
	}
	desc["digest"], desc["size"] = digest.FromBytes(data), len(data)
}

func (p *pusher) content(desc map[string]any) []byte {
	if text, ok := desc["text"].(string); ok {
		return []byte(text)
	}
	if file, ok := desc["file"].(string); ok {
		return []byte(p.ts.ReadFile(file))
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	p.ts.Check(w.AddFS(os.DirFS(p.ts.MkAbs(desc["dir"].(string)))))
	p.ts.Check(w.Close())
	return archive.Bytes()
}

func (p *pusher) compress(mediaType string, data []byte) []byte {
	var out bytes.Buffer
	var w io.WriteCloser
	switch {
	case strings.Contains(mediaType, "gzip"):
		w = gzip.NewWriter(&out)
	case strings.Contains(mediaType, "zstd"):
		z, err := zstd.NewWriter(&out)
		p.ts.Check(err)
		w = z
	default:
		return data
	}
	_, err := w.Write(data)
	p.ts.Check(err)
	p.ts.Check(w.Close())
	return out.Bytes()
}

func (p *pusher) blob(data []byte) {
	p.send(http.MethodPost, "/blobs/uploads/?digest="+digest.FromBytes(data).String(), "application/octet-stream", data)
}

// manifest pushes one under a tag or its digest.
func (p *pusher) manifest(reference string, data []byte) digest.Digest {
	var m struct{ MediaType string }
	p.ts.Check(json.Unmarshal(data, &m))
	p.send(http.MethodPut, "/manifests/"+reference, m.MediaType, data)
	return digest.FromBytes(data)
}

func (p *pusher) send(method, path, mediaType string, data []byte) {
	req, err := http.NewRequest(method, p.base+path, bytes.NewReader(data))
	p.ts.Check(err)
	req.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(req)
	p.ts.Check(err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		p.ts.Fatalf("%s %s: %s", method, path, resp.Status)
	}
}

// cmdAwait waits until a file is there and has a line that matches a pattern:
//
//	await PATTERN FILE
func cmdAwait(ts *testscript.TestScript, _ bool, args []string) {
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	path := filepath.Clean(ts.MkAbs(args[1]))
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		data, err := os.ReadFile(path)
		if err == nil && pattern.Match(data) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not match %s: %q, %v", args[1], args[0], data, err)
		}
	}
}
