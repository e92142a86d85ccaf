package registry

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// maxAuthFile is the size of a Kubernetes secret.
const maxAuthFile = 1 << 20

// AuthFile returns a store that has the credentials in the file at path, and asks
// next about registries that are not in it. It saves and deletes in next alone.
// The file is what Kubernetes mounts of a pull secret, .dockerconfigjson or the
// older .dockercfg; it is read now, so that a file that is no such thing is an
// error here, and again each time, since secrets are replaced under running
// programs. Errors do not quote it.
func AuthFile(path string, next CredentialStore) (CredentialStore, error) {
	if _, err := readAuthFile(path); err != nil {
		return nil, err
	}
	return authFileStore{next, path}, nil
}

type authFileStore struct {
	CredentialStore
	path string
}

func (s authFileStore) Get(ctx context.Context, server string) (Credential, error) {
	entries, err := readAuthFile(s.path)
	if err != nil {
		return Credential{}, err
	}
	if cred, ok := entries.find(server); ok {
		return cred, nil
	}
	return s.CredentialStore.Get(ctx, server)
}

// Advise implements [Adviser] if the next store does.
func (s authFileStore) Advise(registry string, r Refusal) string {
	return advise(s.CredentialStore, registry, r)
}

// AuthFileHas says whether the file at path, as [AuthFile] reads it, has
// credentials for a registry.
func AuthFileHas(path, registry string) (bool, error) {
	entries, err := readAuthFile(path)
	if err != nil {
		return false, err
	}
	_, ok := entries.find(serverOf(registry))
	return ok, nil
}

// authEntries are credentials by the name of their registry, as it is spelled.
type authEntries map[string]authEntry

type authEntry struct {
	Auth          string `json:"auth"` // base64 of user:password
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

func readAuthFile(path string) (authEntries, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, &problem{text: fmt.Sprintf("%s is a directory", path), hint: "name the file in it, such as .dockerconfigjson"}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxAuthFile+1))
	if err != nil {
		return nil, err
	}
	entries, err := parseAuthFile(data)
	if err != nil {
		return nil, &problem{
			text: fmt.Sprintf("%s: %v", path, err),
			hint: `it has the form {"auths": {"registry.example.com": {"username": …, "password": …}}}`,
		}
	}
	return entries, nil
}

// parseAuthFile reads both forms. Its errors quote nothing.
func parseAuthFile(data []byte) (authEntries, error) {
	var file struct {
		Auths authEntries `json:"auths"`
	}
	if len(data) > maxAuthFile {
		return nil, fmt.Errorf("larger than %d bytes", maxAuthFile)
	}
	if json.Unmarshal(data, &file) != nil {
		return nil, errors.New("this is no JSON with credentials in it")
	}
	entries := file.Auths
	if entries == nil && !bytes.Contains(data, []byte(`"auths"`)) {
		if json.Unmarshal(data, &entries) != nil || entries == nil {
			return nil, errors.New("this is no JSON with credentials in it")
		}
	}
	for name, entry := range entries {
		if _, err := entry.credential(); err != nil {
			return nil, fmt.Errorf("the entry of %q: %w", printable(name), err)
		}
	}
	return entries, nil
}

func (e authEntry) credential() (Credential, error) {
	cred := Credential{Username: e.Username, Password: e.Password, RefreshToken: e.IdentityToken, AccessToken: e.RegistryToken}
	if e.Auth == "" {
		return cred, nil
	}
	text, err := base64.StdEncoding.DecodeString(e.Auth)
	user, password, ok := strings.Cut(string(text), ":")
	if err != nil || !ok {
		return Credential{}, errors.New("auth is not user:password in base64")
	}
	cred.Username, cred.Password = user, password
	return cred, nil
}

// find returns the credentials for server, of the entry that fits best.
func (s authEntries) find(server string) (best Credential, ok bool) {
	bestName, bestFit := "", noFit
	for name, entry := range s {
		cred, err := entry.credential()
		fit := fits(name, server)
		if err != nil || cred == (Credential{}) || fit == noFit {
			continue
		}
		if fit > bestFit || fit == bestFit && name < bestName {
			best, bestName, bestFit = cred, name, fit
		}
	}
	return best, bestFit != noFit
}

// How well the name of an entry fits a registry.
const (
	noFit      = iota
	fitPattern // for hosts, as Kubernetes has them
	fitPath    // it is for a part of the registry
	fitHost    // in another spelling
	fitExact
)

func fits(name, server string) int {
	if name == server {
		return fitExact
	}
	want, _ := cutServer(server)
	host, rest := cutServer(name)
	switch matched, _ := path.Match(host, want); {
	case host == want && (rest == "" || rest == "v1" || rest == "v2"):
		return fitHost
	case host == want:
		return fitPath
	case matched && strings.Count(host, ".") == strings.Count(want, "."):
		return fitPattern
	}
	return noFit
}

// cutServer reads a name under which credentials are kept: that of a registry,
// or an address there.
func cutServer(name string) (registry, path string) {
	for _, scheme := range []string{"https://", "http://"} {
		name = strings.TrimPrefix(name, scheme)
	}
	registry, path, _ = strings.Cut(name, "/")
	return registryOf(strings.ToLower(registry)), strings.Trim(path, "/")
}
