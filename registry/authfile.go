package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
)

// maxAuthFile is the size of a Kubernetes secret.
const maxAuthFile = 1 << 20

// AuthFile returns a store that has the credentials in the file at path, and asks
// next about what is not in it. It saves and deletes in next alone.
// The file is what Kubernetes mounts of a pull secret, .dockerconfigjson or the
// older .dockercfg; it is read now, so that a file that is no such thing is an
// error here, and again each time, since secrets are replaced under running
// programs. Errors do not quote it.
//
// An entry is for a registry, or for the repositories below a path there, such as
// registry.example.com/team: as in Kubernetes, the longest one that fits counts.
// Hosts may be patterns, *.example.com.
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
	cred, ok, err := entries.find(server, LookupOf(ctx).Repository)
	if ok || err != nil {
		return cred, err
	}
	return s.CredentialStore.Get(ctx, server)
}

// Advise implements [Adviser]. A login does not help those with old credentials in
// the file.
func (s authFileStore) Advise(registry string, r Refusal) string {
	if r.Status == http.StatusUnauthorized && !r.Anonymous {
		entries, err := readAuthFile(s.path)
		if _, ok, _ := entries.find(serverOf(registry), r.Repository); ok && err == nil {
			return fmt.Sprintf("the credentials for %s in %s were refused; that file comes before what tare login saves", registry, s.path)
		}
	}
	return advise(s.CredentialStore, registry, r)
}

// AuthFileHas says whether the file at path, as [AuthFile] reads it, has
// credentials for a registry as a whole.
func AuthFileHas(path, registry string) (bool, error) {
	entries, err := readAuthFile(path)
	if err != nil {
		return false, err
	}
	_, ok, err := entries.find(serverOf(registry), "")
	return ok, err
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

// find returns the credentials for a repository of server, or for server as a
// whole if repository is empty, of the entry that fits best.
func (s authEntries) find(server, repository string) (cred Credential, ok bool, err error) {
	best, bestFit := "", fit{}
	for name, entry := range s {
		if entry == (authEntry{}) {
			continue
		}
		f := fits(name, server, repository)
		if order := f.compare(bestFit); order > 0 || order == 0 && ok && name < best {
			best, bestFit, ok = name, f, true
		}
	}
	if !ok {
		return Credential{}, false, nil
	}
	if cred, err = s[best].credential(); err != nil {
		return Credential{}, false, fmt.Errorf("the entry of %q: %w", printable(best), err)
	}
	return cred, true, nil
}

// fit is how well the name of an entry fits what is looked for. It is zero if it
// does not.
type fit struct {
	host  int // fitPattern or fitHost
	path  int // how long the path is that fits
	exact bool
}

const (
	fitPattern = iota + 1 // for hosts, as Kubernetes has them
	fitHost
)

func (f fit) compare(other fit) int {
	exact := 0
	if f.exact != other.exact {
		exact = map[bool]int{true: 1, false: -1}[f.exact]
	}
	return cmp.Or(cmp.Compare(f.host, other.host), cmp.Compare(f.path, other.path), exact)
}

func fits(name, server, repository string) fit {
	if name == server {
		return fit{host: fitHost, exact: true}
	}
	want, _ := cutServer(server)
	host, part := cutServer(name)
	if part != "" && !strings.HasPrefix(repository+"/", part+"/") {
		return fit{}
	}
	matched, _ := path.Match(host, want)
	switch {
	case host == want:
		return fit{host: fitHost, path: len(part)}
	case matched && strings.Count(host, ".") == strings.Count(want, "."):
		return fit{host: fitPattern, path: len(part)}
	}
	return fit{}
}

// cutServer reads a name under which credentials are kept: that of a registry, of
// a part of it, or the address of its API.
func cutServer(name string) (registry, path string) {
	for _, scheme := range []string{"https://", "http://"} {
		name = strings.TrimPrefix(name, scheme)
	}
	registry, path, _ = strings.Cut(name, "/")
	for _, version := range []string{"v1", "v2"} {
		if rest, ok := strings.CutPrefix(path+"/", version+"/"); ok {
			path = rest
		}
	}
	return registryOf(strings.ToLower(registry)), strings.Trim(path, "/")
}
