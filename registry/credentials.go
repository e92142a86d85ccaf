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
func DockerCredentials() credentials.Store { return dockerStore{} }

// StaticCredentials returns a store that knows one user of one registry, and
// asks next about all others. It saves and deletes in next alone. [ParseRegistry]
// reads the name of a registry.
func StaticCredentials(registry, username, password string, next credentials.Store) credentials.Store {
	return staticStore{Store: next, server: credentials.ServerAddressFromRegistry(registry), cred: auth.Credential{
		Username: username,
		Password: password,
	}}
}

type staticStore struct {
	credentials.Store
	server string
	cred   auth.Credential
}

func (s staticStore) Get(ctx context.Context, server string) (auth.Credential, error) {
	if server == s.server {
		return s.cred, nil
	}
	return s.Store.Get(ctx, server)
}

type dockerStore struct{}

func (dockerStore) Get(ctx context.Context, server string) (auth.Credential, error) {
	store, err := openDocker()
	if err != nil {
		return auth.EmptyCredential, err
	}
	return store.Get(ctx, server)
}

func (dockerStore) Put(ctx context.Context, server string, cred auth.Credential) error {
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
	return store.Delete(ctx, server)
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

// credentialFunc looks credentials up by the host of a request.
func credentialFunc(store credentials.Store) auth.CredentialFunc {
	return func(ctx context.Context, host string) (auth.Credential, error) {
		cred, err := getCredential(ctx, store, credentials.ServerAddressFromHostname(host))
		if err != nil {
			return auth.EmptyCredential, credentialError(ctx, "looking up", registryOf(host), err)
		}
		return cred, nil
	}
}

// getCredential looks up a credential and does not outlast ctx: a helper program
// may leave others behind that keep its pipe open.
func getCredential(ctx context.Context, store credentials.Store, server string) (auth.Credential, error) {
	type answer struct {
		cred auth.Credential
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
		return auth.EmptyCredential, ctx.Err()
	}
}

// credentialError keeps the errors of files and programs, and drops the text
// of all others: it may quote a secret.
func credentialError(ctx context.Context, doing, registry string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	shown := errBadEntry
	if harmless(err) {
		shown = err
	}
	return &problem{text: fmt.Sprintf("%s the credentials for %s: %s", doing, registry, printable(shown.Error())), cause: shown}
}
