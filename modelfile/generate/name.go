package generate

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/tareml/tare/modelfile"
)

const fromDirectory = "from the name of the directory"

// sayName takes the name of the directory if it tells anything.
func (s *study) sayName() { s.say(modelfile.Name, fromDirectory, telling(s.dirName())) }

// sayVagueName takes it even so: better than none.
func (s *study) sayVagueName() {
	s.say(modelfile.Name, fromDirectory, s.dirName())
	if !s.knows(modelfile.Name) {
		s.notes.add("NAME is left out: the directory has no name to take")
	}
}

func (s *study) dirName() string {
	abs, err := filepath.Abs(s.dir)
	if err != nil {
		return ""
	}
	return modelName(filepath.ToSlash(abs))
}

// modelName undoes what download tools do to the name of a model. Hugging Face's
// cache has it in models--org--name/snapshots/revision, and ModelScope writes
// three underscores for a dot.
func modelName(abs string) string {
	parts := strings.Split(abs, "/")
	name := parts[len(parts)-1]
	if n := len(parts); n >= 3 && parts[n-2] == "snapshots" && strings.HasPrefix(parts[n-3], "models--") {
		name = parts[n-3]
	}
	if repo, ok := strings.CutPrefix(name, "models--"); ok {
		name = repo
		if _, model, ok := strings.Cut(repo, "--"); ok {
			name = model
		}
	}
	return strings.ReplaceAll(name, "___", ".")
}

// plainWord lets words through that can be a name in some config.json, and drops
// prose and noise.
func plainWord(word string) (string, error) {
	const most = 64
	odd := func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		return !letter && !('0' <= r && r <= '9') && !strings.ContainsRune("._-", r)
	}
	if len(word) > most || strings.ContainsFunc(word, odd) {
		return "", fmt.Errorf("%.40q is not a plain word", word)
	}
	return word, nil
}

// more says how many others there are.
func more(n int) string { return fmt.Sprintf("%d more", n) }
