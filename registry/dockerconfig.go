package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/tareml/tare/filelock"
)

// dockerConfig is what is read of docker's config.json.
type dockerConfig struct {
	path    string
	Auths   authEntries       `json:"auths"`
	Store   string            `json:"credsStore"`
	Helpers map[string]string `json:"credHelpers"`
}

// readDockerConfig takes a file that is not there for an empty one.
func readDockerConfig() (dockerConfig, error) {
	path, err := dockerConfigPath()
	if err != nil {
		return dockerConfig{}, err
	}
	config := dockerConfig{path: path}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return config, nil
	}
	if err != nil {
		return config, err
	}
	// As in docker, what stands behind the object does not count.
	err = json.NewDecoder(bytes.NewReader(data)).Decode(&config)
	if err != nil && err != io.EOF {
		return config, &problem{
			text: fmt.Sprintf("%s %s", path, jsonTrouble(data, err)),
			hint: "docker's config.json is JSON: put it right, or name the directory of another one with DOCKER_CONFIG",
		}
	}
	return config, nil
}

// jsonTrouble says what is wrong with data, and quotes nothing.
func jsonTrouble(data []byte, err error) string {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	switch {
	case ok:
		return fmt.Sprintf("is no JSON: line %d", 1+bytes.Count(data[:min(int(syntax.Offset), len(data))], []byte("\n")))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "is no JSON: it ends in the middle"
	}
	return "is JSON, but has not the form that docker gives it"
}

// helper is the name of the program that keeps the credentials for server, or "".
func (c dockerConfig) helper(server string) string {
	return cmp.Or(c.Helpers[server], c.Store)
}

// get looks in the file itself.
func (c dockerConfig) get(server, repository string) (Credential, error) {
	cred, _, err := c.Auths.find(server, repository)
	if err != nil {
		return Credential{}, &problem{text: fmt.Sprintf("%s: %v", c.path, err), hint: "log in again"}
	}
	return cred, nil
}

// errNoHome says that nothing tells where docker's config.json is.
var errNoHome error = &problem{
	text: "there is no home directory for docker's config.json",
	hint: "set HOME, or name a directory with DOCKER_CONFIG",
}

// dockerConfigPath follows symbolic links, because saving replaces the file.
func dockerConfigPath() (string, error) {
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", errNoHome
		}
		dir = filepath.Join(home, ".docker")
	}
	path := filepath.Join(dir, "config.json")
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real, nil
	}
	return path, nil
}

// changeDockerConfig has the file changed by one program at a time: whoever
// changes it reads it as the one before left it.
func changeDockerConfig(ctx context.Context, change func(credentials.Store) error) error {
	path, err := dockerConfigPath()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	lock, err := filelock.Acquire(ctx.Err, path+".lock", filelock.Exclusive)
	if err != nil {
		return err
	}
	defer lock.Remove()
	store, err := credentials.NewFileStore(path)
	if err != nil {
		return err
	}
	return change(store)
}
