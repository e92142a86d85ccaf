package modelfile_test

import (
	"testing"

	"github.com/tareml/tare/modelfile"
)

func TestLanguageCode(t *testing.T) {
	for language, want := range map[string]string{
		"en": "en", "EN": "en", " en ": "en", "English": "en", "zh-Hans-CN": "zh", "pt_BR": "pt",
		"aaa": "aaa", "yue": "yue", "cmn": "cmn", "zza": "zza", "zun": "zun", "ger": "ger", "deu": "deu", "und": "und",
		"": "", "e": "", "jp": "", "zzz": "", "xx": "", "qqq": "", "a b": "", "english-US": "", "\xc3\xa9n": "", "code": "", "aab ": "aab",
	} {
		if got := modelfile.LanguageCode(language); got != want {
			t.Errorf("%q is %q, want %q", language, got, want)
		}
	}
}
