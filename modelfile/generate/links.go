package generate

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/tareml/tare/modelpack"
)

// strayLinks lists the links that lead out of dir. Those of a snapshot in the
// cache of Hugging Face may lead to its blobs.
func strayLinks(dir string, links []string) []string {
	if len(links) == 0 {
		return nil
	}
	root, err := filepath.Abs(dir)
	if err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	if err != nil {
		return links
	}
	homes := []string{root}
	if snapshots := filepath.Dir(root); filepath.Base(snapshots) == "snapshots" {
		homes = append(homes, filepath.Join(filepath.Dir(snapshots), "blobs"))
	}
	var stray []string
	for _, link := range links {
		target, err := filepath.EvalSymlinks(filepath.Join(root, filepath.FromSlash(link)))
		inside := func(home string) bool {
			return strings.HasPrefix(target, strings.TrimSuffix(home, string(filepath.Separator))+string(filepath.Separator))
		}
		if err != nil || !slices.ContainsFunc(homes, inside) {
			stray = append(stray, link)
		}
	}
	return stray
}

// withoutStrayTexts leaves out the files whose words would get from elsewhere into
// the Modelfile. Weights that are kept apart are counted.
func withoutStrayTexts(files []file, stray []string) []file {
	return slices.DeleteFunc(slices.Clone(files), func(f file) bool {
		return f.kind != modelpack.Model && slices.Contains(stray, f.path)
	})
}
