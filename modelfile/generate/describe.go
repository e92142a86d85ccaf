package generate

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tareml/tare/modelfile"
)

// about is what DESCRIPTION is made of. Of several sources the first counts, for
// each of the two.
type about struct {
	text, textSource string   // what somebody wrote about the model
	base             relation // what it was made from
	baseSource       string
}

// sayAbout takes a text on the model that is fit to be quoted.
func (s *study) sayAbout(source, text string) {
	if s.about.text == "" && text != "" {
		s.about.text, s.about.textSource = text, source
	}
}

// sayBase takes what the model was made from.
func (s *study) sayBase(source string, base relation) {
	if s.about.base.bases == nil && base.bases != nil {
		s.about.base, s.about.baseSource = base, source
	}
}

// sayDescription states the text and, behind it, the base model that it does not
// name itself.
func (s *study) sayDescription() {
	a := s.about
	switch {
	case a.base.bases == nil || a.text != "" && a.base.isIn(a.text):
		s.say(modelfile.Description, a.textSource, a.text)
	case a.text == "":
		s.say(modelfile.Description, a.baseSource, a.base.String())
	default:
		source := a.textSource
		if a.baseSource != source {
			source += " and " + strings.TrimPrefix(a.baseSource, "from ")
		}
		s.say(modelfile.Description, source, a.base.behind(a.text))
	}
}

// relation says what a model was made from, and how.
type relation struct {
	how   string // reads on to the bases: "based on"
	bases []string
}

// mostBases is how many of them are named.
const mostBases = 3

func (r relation) String() string {
	if len(r.bases) > mostBases {
		return r.how + " " + strings.Join(r.bases[:mostBases], ", ") + " and " + more(len(r.bases)-mostBases)
	}
	return r.how + " " + strings.Join(r.bases, " and ")
}

// isIn says whether a text names all of the bases.
func (r relation) isIn(text string) bool {
	return !slices.ContainsFunc(r.bases, func(base string) bool { return !strings.Contains(text, base) })
}

// mostDescription is about how long a description gets, in characters. Of the text
// in it, half of what texts may have stays however long the names are.
const mostDescription = 320

// behind is the text and a sentence on the bases.
func (r relation) behind(text string) string {
	sentence := r.String()
	first, n := utf8.DecodeRuneInString(sentence)
	sentence = string(unicode.ToUpper(first)) + sentence[n:] + "."
	text = shorten(text, max(mostDescription-utf8.RuneCountInString(sentence)-1, mostProse/2))
	if last, _ := utf8.DecodeLastRuneInString(text); !strings.ContainsRune(".!?…。！？", last) {
		text += "."
	}
	return text + " " + sentence
}

// shorten cuts a text to a number of characters: behind a sentence, or else behind
// a word.
func shorten(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	cut := string(runes[:most-1])
	if i := strings.LastIndex(cut, ". "); i >= leastProse {
		return cut[:i+1]
	}
	if i := strings.LastIndexByte(cut, ' '); i >= leastProse {
		cut = cut[:i]
	}
	return strings.TrimRight(cut, " ,;:-") + "…"
}
