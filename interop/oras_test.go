package interop_test

import (
	"os"
	"testing"

	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/file"
	"oras.land/oras-go/v2/content/oci"
)

// readOras is `oras pull --oci-layout`: what has a title is saved under it. AIKit
// pulls with the same library.
func readOras(t *testing.T, a *artifact) (files, error) {
	source, err := oci.NewFromFS(t.Context(), os.DirFS(a.store))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	target, err := file.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	desc, err := oras.Copy(t.Context(), source, a.ref, target, a.ref, oras.DefaultCopyOptions)
	if err != nil {
		return nil, err
	}
	if desc.Digest != a.digest {
		t.Errorf("oras copied %s, want %s", desc.Digest, a.digest)
	}
	return readTree(t, dir), nil
}
