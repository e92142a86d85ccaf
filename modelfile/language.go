package modelfile

import "strings"

// languageNames are the languages that people write out, where a name means one
// language.
var languageNames = map[string]string{
	"english": "en", "chinese": "zh", "french": "fr", "german": "de", "spanish": "es", "italian": "it", "portuguese": "pt", "russian": "ru",
	"japanese": "ja", "korean": "ko", "arabic": "ar", "hindi": "hi", "dutch": "nl", "polish": "pl", "turkish": "tr", "vietnamese": "vi",
	"thai": "th", "indonesian": "id", "swedish": "sv", "danish": "da", "finnish": "fi", "czech": "cs", "greek": "el", "hebrew": "he",
	"ukrainian": "uk", "romanian": "ro", "hungarian": "hu", "bengali": "bn", "tamil": "ta", "catalan": "ca",
}

// LanguageCode is the ISO 639 code of a language as people write it: a code, which a
// country or a script may follow as in pt_BR, or a well-known name. It is empty if
// there is none.
func LanguageCode(language string) string {
	language = strings.ToLower(strings.TrimSpace(language))
	if code := languageNames[language]; code != "" {
		return code
	}
	code, _, _ := strings.Cut(strings.ReplaceAll(language, "_", "-"), "-")
	if !isLanguageCode(code) {
		return ""
	}
	return code
}

func isLanguageCode(code string) bool {
	switch len(code) {
	case 2:
		return strings.Contains(" "+iso639+" ", " "+code+" ")
	case 3:
		_, word, ok := strings.Cut(" "+iso639of3, " "+code[:2])
		thirds, _, _ := strings.Cut(word, " ")
		return ok && strings.Contains(thirds, code[2:])
	}
	return false
}
