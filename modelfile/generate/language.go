package generate

import (
	"regexp"
	"slices"
	"strings"
)

// iso639 are the codes of two letters.
const iso639 = "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es et " +
	"eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko " +
	"kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl " +
	"ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur " +
	"uz ve vi vo wa wo xh yi yo za zh zu"

// languageNames are the languages that people write out, where a name means one
// language.
var languageNames = map[string]string{
	"english": "en", "chinese": "zh", "french": "fr", "german": "de", "spanish": "es", "italian": "it", "portuguese": "pt", "russian": "ru",
	"japanese": "ja", "korean": "ko", "arabic": "ar", "hindi": "hi", "dutch": "nl", "polish": "pl", "turkish": "tr", "vietnamese": "vi",
	"thai": "th", "indonesian": "id", "swedish": "sv", "danish": "da", "finnish": "fi", "czech": "cs", "greek": "el", "hebrew": "he",
	"ukrainian": "uk", "romanian": "ro", "hungarian": "hu", "bengali": "bn", "tamil": "ta", "catalan": "ca",
}

// noLanguages are codes of ISO 639 that name no language, and words of three
// letters that are no codes.
var noLanguages = []string{"mul", "und", "zxx", "mis", "all", "any", "new", "sql", "cpp", "php", "css", "xml"}

var threeLetters = regexp.MustCompile(`^[a-z]{3}$`)

// languageCodes keeps what is certain of a list of languages: codes, without the
// country or script that may follow, and well-known names.
func languageCodes(languages []string) []string {
	var codes []string
	for _, l := range languages {
		l = strings.ToLower(strings.TrimSpace(l))
		if name := languageNames[l]; name != "" {
			l = name
		}
		code, _, _ := strings.Cut(strings.ReplaceAll(l, "_", "-"), "-")
		if isLanguage(code) && !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	return codes
}

func isLanguage(code string) bool {
	if len(code) == 2 {
		return slices.Contains(strings.Fields(iso639), code)
	}
	return threeLetters.MatchString(code) && !slices.Contains(noLanguages, code)
}
