package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// DockerCredentials returns the credentials that docker knows: those in
// config.json in $DOCKER_CONFIG, else in ~/.docker, and those of the helpers
// which that file names. The file is read anew each time, since other programs
// write it too.
//
// Docker Hub is known by several names, and credentials are found under each.
func DockerCredentials() CredentialStore { return dockerStore{} }

// StaticCredentials returns a store that knows one user of one registry, and
// asks next about all others. It saves and deletes in next alone. [ParseRegistry]
// reads the name of a registry.
func StaticCredentials(registry, username, password string, next CredentialStore) CredentialStore {
	return staticStore{CredentialStore: next, server: serverOf(registry), cred: Credential{
		Username: username,
		Password: password,
	}}
}

type staticStore struct {
	CredentialStore
	server string
	cred   Credential
}

func (s staticStore) Get(ctx context.Context, server string) (Credential, error) {
	if server == s.server {
		return s.cred, nil
	}
	return s.CredentialStore.Get(ctx, server)
}

// Advise implements [Adviser] if the next store does.
func (s staticStore) Advise(registry string, r Refusal) string {
	return advise(s.CredentialStore, registry, r)
}

// serverOf is the name under which docker keeps the credentials for a registry,
// given by its name or by the host of its API.
func serverOf(host string) string {
	return credentials.ServerAddressFromRegistry(registryOf(host))
}

// spellings are the names under which programs keep the credentials for server,
// docker's own first.
func spellings(server string) []string {
	if server == serverOf(dockerHub) {
		return []string{server, dockerHub, "index." + dockerHub, dockerHubAPI}
	}
	return []string{server}
}

type dockerStore struct{}

func (dockerStore) Get(ctx context.Context, server string) (Credential, error) {
	store, err := openDocker()
	if err != nil {
		return Credential{}, err
	}
	for _, name := range spellings(server) {
		if cred, err := store.Get(ctx, name); err != nil || cred != (Credential{}) {
			return cred, err
		}
	}
	return Credential{}, nil
}

func (dockerStore) Put(ctx context.Context, server string, cred Credential) error {
	store, err := openDocker()
	if err != nil {
		return err
	}
	return store.Put(ctx, server, cred)
}

func (dockerStore) Delete(ctx context.Context, server string) error {
	store, err := openDocker()
	if err != nil {
		return err
	}
	for _, name := range spellings(server) {
		cred, err := store.Get(ctx, name)
		if err == nil && cred != (Credential{}) {
			err = store.Delete(ctx, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// place is where Put puts the credentials of server.
func (dockerStore) place(server string) (Saved, error) {
	path, err := dockerConfigPath()
	if err != nil {
		return Saved{}, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Saved{}, err
	}
	var config struct {
		Store   string            `json:"credsStore"`
		Helpers map[string]string `json:"credHelpers"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return Saved{}, fmt.Errorf("reading %s: %w", path, err)
	}
	helper := config.Helpers[server]
	if helper == "" {
		helper = config.Store
	}
	if helper != "" {
		return Saved{Place: "docker-credential-" + helper}, nil
	}
	return Saved{Place: path, Plaintext: true}, nil
}

func openDocker() (*credentials.DynamicStore, error) {
	path, err := dockerConfigPath()
	if err != nil {
		return nil, err
	}
	return credentials.NewStore(path, credentials.StoreOptions{AllowPlaintextPut: true})
}

// dockerConfigPath follows symbolic links, because saving replaces the file.
func dockerConfigPath() (string, error) {
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(home, ".docker")
	}
	path := filepath.Join(dir, "config.json")
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real, nil
	}
	return path, nil
}

// errBadEntry stands for what oras-go says of an entry that it cannot decode,
// because that quotes the entry.
var errBadEntry = errors.New("its entry in docker's config.json ($DOCKER_CONFIG, else ~/.docker), or the answer of its helper, cannot be read")

// credentialFunc looks credentials up by the host of a request, and by what the
// host stands in for.
func credentialFunc(store CredentialStore) auth.CredentialFunc {
	return func(ctx context.Context, host string) (Credential, error) {
		for _, name := range []string{host, standIn(ctx, host)} {
			if name == "" {
				break
			}
			cred, err := getCredential(ctx, store, serverOf(name))
			if err != nil {
				return Credential{}, credentialError(ctx, "looking up", registryOf(name), err)
			}
			if cred != (Credential{}) {
				return cred, nil
			}
		}
		return Credential{}, nil
	}
}

// getCredential looks up a credential and does not outlast ctx: a helper program
// may leave others behind that keep its pipe open.
func getCredential(ctx context.Context, store CredentialStore, server string) (Credential, error) {
	type answer struct {
		cred Credential
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		cred, err := store.Get(ctx, server)
		got <- answer{cred, err}
	}()
	select {
	case a := <-got:
		return a.cred, a.err
	case <-ctx.Done():
		return Credential{}, ctx.Err()
	}
}

// credentialError keeps the errors of files and programs, and those that are made
// for people to read, and drops the text of all others: it may quote a secret.
func credentialError(ctx context.Context, doing, registry string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	shown, hint := errBadEntry, ""
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		shown, hint = err, h.Hint()
	} else if harmless(err) {
		shown = err
	}
	return &problem{text: fmt.Sprintf("%s the credentials for %s: %s", doing, registry, printable(shown.Error())), cause: shown, hint: hint}
}
