package generate

import (
	"cmp"
	"io/fs"
	"slices"
	"sync/atomic"

	"github.com/tareml/tare/modelfile"
)

// fact is one statement on what the model is.
type fact struct {
	command, value string
	source         string // reads on from the command: "from config.json"
}

// asGiven is the source of what the caller said.
const asGiven = "as given"

// study gathers what a directory says of its model. The first source that has
// something to say about a command is believed, so that the order of the calls in
// describe is the order of trust.
type study struct {
	fsys  fs.FS
	dir   string
	files []file
	paths map[string]bool
	notes *notes
	// warnings are the notes on what is missing or does not fit together.
	warnings *notes
	facts    map[string][]fact
	// indexes are the tables of shards, by path, and checkpoints is how many of
	// TensorFlow's came by.
	indexes     map[string]shardIndex
	checkpoints int
	about       about        // for DESCRIPTION
	unread      atomic.Int64 // what may still be read of headers, in bytes
	// gguf are the models in GGUF files, the largest first.
	gguf ggufCard
}

func newStudy(fsys fs.FS, dir string, files []file, n, warnings *notes) *study {
	s := &study{
		fsys: fsys, dir: dir, files: files, notes: n, warnings: warnings,
		paths: make(map[string]bool), facts: make(map[string][]fact), indexes: make(map[string]shardIndex),
	}
	s.unread.Store(mostHeaders)
	for _, f := range files {
		s.paths[f.path] = true
	}
	return s
}

// say states values of a command, unless another source did. Empty values and
// those that come twice are dropped, and access tokens that somebody put where
// such a value belongs.
func (s *study) say(command, source string, values ...string) {
	if s.knows(command) {
		return
	}
	var facts []fact
	for _, v := range values {
		f := fact{command, v, source}
		switch {
		case v == "" || slices.Contains(facts, f):
		case command != modelfile.Name && source != asGiven && hasToken(v):
			s.notes.add("a value for %s %s was not taken: it looks like an access token", command, source)
		default:
			facts = append(facts, f)
		}
	}
	if facts != nil {
		s.facts[command] = facts
	}
}

func (s *study) knows(command string) bool { return s.facts[command] != nil }

// values are what was said of a command.
func (s *study) values(command string) []string {
	var values []string
	for _, f := range s.facts[command] {
		values = append(values, f.value)
	}
	return values
}

// describe works out what the model is, in the order of the grammar. A fact that
// is not known is left out. Whatever cannot be read or is odd is a note, and what is
// missing or does not fit together a warning.
func describe(fsys fs.FS, dir string, files []file, opts Options, n, warnings *notes) []fact {
	s := newStudy(fsys, dir, files, n, warnings)
	s.sayGiven(opts)
	s.sayName()

	l := s.layout()
	s.sayLayout(l)
	s.checkIndexes()
	s.sayWeights(l)
	s.gguf = s.gguf.withoutStray(dir)
	s.sayGGUFCard()
	s.sayVagueName()

	card := s.readCard()
	s.sayCard(card)
	s.sayBase(s.gguf.from(), s.gguf.base())
	s.sayDescription()
	s.sayLicense(card)
	s.sayModalities(card, l)
	s.sayGGUFTags()
	s.sayOrigin()
	s.sayGGUFOrigin()
	s.sayTemplate()
	return s.inOrder()
}

func (s *study) sayGiven(opts Options) {
	s.say(modelfile.Name, asGiven, opts.Name)
	s.say(modelfile.Arch, asGiven, opts.Arch)
	s.say(modelfile.Family, asGiven, opts.Family)
	s.say(modelfile.Format, asGiven, opts.Format)
	s.say(modelfile.ParamSize, asGiven, opts.ParamSize)
	s.say(modelfile.Precision, asGiven, opts.Precision)
	s.say(modelfile.Quantization, asGiven, opts.Quantization)
}

// inOrder lists the facts as the grammar has their commands.
func (s *study) inOrder() []fact {
	var all []fact
	for _, rule := range modelfile.Grammar() {
		all = append(all, s.facts[rule.Command]...)
	}
	return all
}

// fileSource says that a fact is from a file, and how many others.
func fileSource(paths []string) string {
	switch n := len(paths); n {
	case 0:
		return ""
	case 1:
		return "from " + paths[0]
	default:
		return "from " + paths[0] + " and " + more(n-1)
	}
}

// sortedBy sorts by a key and, where it is the same, keeps the order.
func sortedBy[T any, K cmp.Ordered](list []T, key func(T) K) []T {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	return list
}
