package interop_test

import (
	"errors"
	"maps"
	"path"
	"strings"
	"testing"

	specv1 "github.com/modelpack/model-spec/specs-go/v1"
)

// consumer is a tool that takes artifacts from a store or a registry.
type consumer struct {
	name string
	// read has the tool take a and returns the files that it makes of it. An
	// error that wraps errRefused says that the tool does not take such an
	// artifact.
	read func(t *testing.T, a *artifact) (files, error)
	// expect is what comes of each format.
	expect map[format]outcome
}

// errRefused is a consumer's word that it does not take an artifact, for the
// reason that is known of it. All other errors are failures of a test.
var errRefused = errors.New("refused")

// outcome is what a consumer makes of an artifact.
type outcome string

const (
	// whole is every file of the model under its path, byte for byte.
	whole outcome = "whole"
	// flat is every file under its base name.
	flat outcome = "flat"
	// wholeIfFlat is whole for a model without directories; others are refused.
	wholeIfFlat outcome = "whole without directories"
	// docs is README.md and LICENSE alone, byte for byte.
	docs outcome = "docs"
	// archives is each layer as it is, under the path of its file: useless, and
	// the reason why there are raw layers.
	archives outcome = "archives"
	// digests is each layer as it is, under its digest.
	digests outcome = "digests"
	// nothing is no file at all, and no error.
	nothing outcome = "nothing"
	// refused is errRefused.
	refused outcome = "refused"
)

func consumers() []consumer {
	return []consumer{
		{"tare", readTare, map[format]outcome{
			tarLayers: whole, rawLayers: whole, gzipped: whole, zstded: whole, bundled: whole, flatRaw: whole}},
		{"modctl", readModctl, map[format]outcome{
			tarLayers: whole, rawLayers: whole, gzipped: refused, zstded: refused, bundled: whole, flatRaw: whole}},
		{"model-csi-driver", readModelCSIDriver, map[format]outcome{
			tarLayers: whole, rawLayers: whole, gzipped: refused, zstded: refused, bundled: whole, flatRaw: whole}},
		{"podman", readPodman, map[format]outcome{
			tarLayers: digests, rawLayers: wholeIfFlat, gzipped: digests, zstded: digests, bundled: digests, flatRaw: flat}},
		{"go-containerregistry", readCrane, map[format]outcome{
			tarLayers: whole, rawLayers: whole, gzipped: whole, zstded: whole, bundled: whole, flatRaw: whole}},
		{"oras, AIKit", readOras, map[format]outcome{
			tarLayers: nothing, rawLayers: whole, gzipped: nothing, zstded: nothing, bundled: nothing, flatRaw: flat}},
		{"CRI-O", readCRIO, map[format]outcome{
			tarLayers: archives, rawLayers: whole, gzipped: archives, zstded: archives, bundled: refused, flatRaw: flat}},
		{"containerd", readContainerd, map[format]outcome{
			tarLayers: nothing, rawLayers: nothing, gzipped: nothing, zstded: nothing, bundled: nothing, flatRaw: nothing}},
		{"Docker Model Runner", readModelRunner, map[format]outcome{
			tarLayers: archives, rawLayers: whole, gzipped: refused, zstded: refused, bundled: refused, flatRaw: whole}},
		{"KitOps", readKitOps, map[format]outcome{
			tarLayers: whole, rawLayers: whole, gzipped: whole, zstded: whole, bundled: whole, flatRaw: whole}},
		{"Harbor", readHarbor, map[format]outcome{
			tarLayers: docs, rawLayers: docs, gzipped: refused, zstded: refused, bundled: refused, flatRaw: docs}},
	}
}

func TestConsumers(t *testing.T) {
	host := newRegistry(t)
	for _, m := range []*model{plainModel(t), oddModel(t)} {
		for _, f := range formats() {
			a := newArtifact(t, m, f, host)
			for _, c := range consumers() {
				t.Run(m.name+"/"+string(f)+"/"+c.name, func(t *testing.T) {
					got, err := c.read(t, a)
					c.expect[f].check(t, a, got, err)
				})
			}
		}
	}
}

// check compares what a consumer did with what was expected of it.
func (o outcome) check(t *testing.T, a *artifact, got files, err error) {
	t.Helper()
	want, taken := o.files(t, a)
	if !taken {
		if !errors.Is(err, errRefused) {
			t.Errorf("%d files and error %v, want it refused", len(got), err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	compareFiles(t, got, want)
}

// files is what should come out, and whether anything should.
func (o outcome) files(t *testing.T, a *artifact) (want files, taken bool) {
	t.Helper()
	switch o {
	case whole:
		return a.model.files, true
	case wholeIfFlat:
		return a.model.files, !a.nested()
	case flat:
		return a.flat(), true
	case docs:
		return files{"README.md": a.model.files["README.md"], "LICENSE": a.model.files["LICENSE"]}, true
	case archives, digests:
		return o.layers(t, a), true
	case nothing:
		return files{}, true
	case refused:
		return nil, false
	}
	t.Fatalf("nothing is said of %s", a.format)
	return nil, false
}

// layers is each layer as it is, by path or by digest.
func (o outcome) layers(t *testing.T, a *artifact) files {
	t.Helper()
	all := make(files)
	for _, l := range a.manifest.Layers {
		content, err := a.blob(l.Digest)
		if err != nil {
			t.Fatal(err)
		}
		name := path.Clean(l.Annotations[specv1.AnnotationFilepath])
		if o == digests {
			name = l.Digest.Algorithm().String() + "-" + l.Digest.Encoded()
		}
		all[name] = content
	}
	return all
}

// readTare closes the circle: what is pushed comes back from the registry.
func readTare(t *testing.T, a *artifact) (files, error) {
	dir := t.TempDir()
	tare(t, t.TempDir(), "extract", a.ref, dir)
	return withoutState(readTree(t, dir)), nil
}

// withoutState drops what tare keeps for itself where it extracts to.
func withoutState(all files) files {
	maps.DeleteFunc(all, func(p, _ string) bool { return strings.HasPrefix(p, ".tare/") })
	return all
}
