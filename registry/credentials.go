package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

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

// PatientDockerCredentials is [DockerCredentials] for programs with somebody in
// front of them: waiting is called with the name of a helper program that takes
// its time, which may be because it asks for something where nobody looks.
func PatientDockerCredentials(waiting func(program string)) CredentialStore {
	return dockerStore{waiting}
}

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

// dockerStore is docker's config.json and the helpers that it names.
type dockerStore struct {
	waiting func(program string) // told of a helper that takes its time, or nil
}

func (s dockerStore) Get(ctx context.Context, server string) (Credential, error) {
	config, err := readDockerConfig()
	if errors.Is(err, errNoHome) { // so that there are none
		return Credential{}, nil
	}
	if err != nil {
		return Credential{}, err
	}
	for _, name := range spellings(server) {
		if cred, err := s.get(ctx, config, name); err != nil || cred != (Credential{}) {
			return cred, err
		}
	}
	return Credential{}, nil
}

// get looks under one name alone.
func (s dockerStore) get(ctx context.Context, config dockerConfig, name string) (Credential, error) {
	if program := config.helper(name); program != "" {
		return helper{program, helperPatience, s.waiting}.get(ctx, name)
	}
	return config.get(name, LookupOf(ctx).Repository)
}

func (s dockerStore) Put(ctx context.Context, server string, cred Credential) error {
	config, err := readDockerConfig()
	if err != nil {
		return err
	}
	if program := config.helper(server); program != "" {
		return helper{program, helperPatience, s.waiting}.store(ctx, server, cred)
	}
	return changeDockerConfig(ctx, func(file credentials.Store) error { return file.Put(ctx, server, cred) })
}

func (s dockerStore) Delete(ctx context.Context, server string) error {
	config, err := readDockerConfig()
	if err != nil {
		return err
	}
	for _, name := range spellings(server) {
		cred, err := s.get(ctx, config, name)
		if err == nil && cred != (Credential{}) {
			err = s.delete(ctx, config, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// delete deletes under one name alone.
func (s dockerStore) delete(ctx context.Context, config dockerConfig, name string) error {
	if program := config.helper(name); program != "" {
		return helper{program, helperPatience, s.waiting}.erase(ctx, name)
	}
	return changeDockerConfig(ctx, func(file credentials.Store) error { return file.Delete(ctx, name) })
}

// place is where Put puts the credentials of server.
func (dockerStore) place(server string) (Saved, error) {
	config, err := readDockerConfig()
	if err != nil {
		return Saved{}, err
	}
	if program := config.helper(server); program != "" {
		return Saved{Place: helper{name: program}.program()}, nil
	}
	return Saved{Place: config.path, Plaintext: true}, nil
}

// errBadEntry stands for what a library says, because that may quote an entry.
var errBadEntry = errors.New("docker's config.json ($DOCKER_CONFIG, else ~/.docker) cannot be used")

// credentialFunc looks credentials up by the host of a request, and by what the
// host stands in for.
func credentialFunc(store CredentialStore) auth.CredentialFunc {
	return func(ctx context.Context, host string) (Credential, error) {
		why := LookupOf(ctx)
		why.Repository = repositoryAsked(ctx, host)
		ctx = WithLookup(ctx, why)
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
	} else if plain, ok := harmless(err); ok {
		shown = plain
	}
	return &problem{text: fmt.Sprintf("%s the credentials for %s: %s", doing, registry, printable(shown.Error())), cause: shown, hint: hint}
}

// harmless is the error of the system in err, if there is one: they quote no
// secrets.
func harmless(err error) (error, bool) {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path, true
	}
	if link, ok := errors.AsType[*os.LinkError](err); ok {
		return link, true
	}
	program, ok := errors.AsType[*exec.Error](err)
	return program, ok
}
