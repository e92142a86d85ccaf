package generate

import (
	"slices"

	"github.com/tareml/tare/modelfile"
)

// noLanguages are codes of ISO 639 that name no language, and words of three
// letters that mean something else where they stand among languages.
var noLanguages = []string{"mul", "und", "zxx", "mis", "all", "any", "new", "sql", "cpp", "php", "css", "xml"}

// languageCodes keeps what is certain of a list of languages: codes, without the
// country or script that may follow, and well-known names.
func languageCodes(languages []string) []string {
	var codes []string
	for _, l := range languages {
		code := modelfile.LanguageCode(l)
		if code != "" && !slices.Contains(noLanguages, code) && !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	return codes
}
