//go:build containers_image_openpgp

package interop_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"go.podman.io/common/libimage"
	"go.podman.io/common/pkg/libartifact"
	"go.podman.io/common/pkg/libartifact/types"
	imagetypes "go.podman.io/image/v5/types"
)

// readPodman is `podman artifact pull` and `podman artifact extract`.
func readPodman(t *testing.T, a *artifact) (files, error) {
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy.json")
	writeFile(t, policy, `{"default":[{"type":"insecureAcceptAnything"}]}`)
	store, err := libartifact.NewArtifactStore(filepath.Join(dir, "store"), &imagetypes.SystemContext{
		SignaturePolicyPath:         policy,
		SystemRegistriesConfPath:    "/dev/null",
		DockerInsecureSkipTLSVerify: imagetypes.OptionalBoolTrue, // for plain HTTP, too
		BlobInfoCacheDir:            filepath.Join(dir, "cache"),
	})
	if err != nil {
		t.Fatal(err)
	}
	remote, err := libartifact.NewArtifactReference(a.ref)
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := store.Pull(t.Context(), remote, libimage.CopyOptions{InsecureSkipTLSVerify: imagetypes.OptionalBoolTrue})
	if err != nil {
		t.Fatal(err)
	}
	if pulled != a.digest {
		t.Errorf("podman's copy is %s, want %s", pulled, a.digest)
	}
	local, err := libartifact.NewArtifactStorageReference(a.ref)
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	err = store.Extract(t.Context(), local, target, &types.ExtractOptions{})
	if errors.Is(err, types.ErrArtifactBlobTitleInvalid) {
		err = fmt.Errorf("%w: %w", errRefused, err)
	}
	return readTree(t, target), err
}
