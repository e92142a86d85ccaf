package generate

import (
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sync/errgroup"
)

// maxSecretText is the size of the largest file that is looked into for a secret
// that its name does not tell of, in bytes. Keys and tokens are small.
const maxSecretText = 64 << 10

// Secrets returns those of the paths, slash-separated and in dir, that [Generate]
// takes for secrets. Where the name does not tell it reads the start of small
// files. What cannot be read is none.
func Secrets(dir string, paths []string) []string {
	fsys := os.DirFS(dir)
	found := make([]bool, len(paths))
	var group errgroup.Group
	group.SetLimit(readers)
	for i, p := range paths {
		group.Go(func() error {
			found[i] = looksSecret(fsys, p)
			return nil
		})
	}
	group.Wait()
	var secrets []string
	for i, p := range paths {
		if found[i] {
			secrets = append(secrets, p)
		}
	}
	return secrets
}

func looksSecret(fsys fs.FS, p string) bool {
	name := strings.ToLower(p)
	base := path.Base(name)
	size := sizeOf(fsys, p)
	if inSecretDir(name) || isSecretFile(base, size) {
		return true
	}
	e := entry{p, size()}
	return (e.size <= maxSecretText || isKeyName(base)) && contentMatters(e) && sniff(fsys, e, false).secret
}

// inSecretDir says whether a directory above p is for nobody else.
func inSecretDir(p string) bool {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if isSecretDir(path.Base(dir)) {
			return true
		}
	}
	return false
}
