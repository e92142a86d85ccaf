package generate

import (
	"strings"
	"testing"
)

func TestWebAddress(t *testing.T) {
	token := "hf_" + strings.Repeat("a", 30)
	for _, tt := range []struct {
		text, want string
		stripped   bool
	}{
		{"https://example.com/x", "https://example.com/x", false},
		{" http://example.com/x/ ", "http://example.com/x", false},
		{"https://me:word@example.com/x", "https://example.com/x", true},
		{"https://" + token + "@example.com/x", "https://example.com/x", true},
		{"https://example.com/x?token=y#z", "https://example.com/x", true},
		{"https://example.com/" + token, "", true},
		{"ssh://git@example.com/x", "", false},
		{"git@example.com:x/y", "", false},
		{"javascript:alert(1)", "", false},
		{"file:///etc/passwd", "", false},
		{"https:///x", "", false},
		{"https://example.com/\x1b[31m", "", false},
		{"https://example.com/\u202e", "", false},
		{"https://example.com/\U000E0041", "", false},
		{"https://example.com/\u2063", "", false},
		{"https://example.com/" + strings.Repeat("a", mostAddress), "", false},
		{"org/name", "", false},
		{"", "", false},
	} {
		if got, stripped := webAddress(tt.text); got != tt.want || stripped != tt.stripped {
			t.Errorf("%.60q: got %q, %v, want %q, %v", tt.text, got, stripped, tt.want, tt.stripped)
		}
	}
}

// TestPlainText wants nothing that is not to be seen, but for what scripts need.
func TestPlainText(t *testing.T) {
	for text, want := range map[string]string{
		"می\u200cخواهم": "می\u200cخواهم", "a\u00adb": "a\u00adb", "♀\u200d\ufe0f": "♀\u200d\ufe0f",
		"a\U000E0041\U000E0042": "", "a\u2060b": "", "a\u2066b": "", "a\ufeff": "", "a\U000E0100": "",
	} {
		if got := plainText(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestTelling(t *testing.T) {
	for name, want := range map[string]bool{
		"Qwen3-0.6B": true, "model-x": true, "tmpnet-7b": true, "data2vec": true, "x": true, "gpt2": true, "deadbeef": true,
		"models": false, "Model": false, "tmp": false, "tmp.Ab3": false, "tmpk3j2l1_x": false, "001": false, "": false, "..": false,
		"0123456789abcdef0123456789abcdef01234567": false, "123e4567-e89b-12d3-a456-426614174000": false,
	} {
		if got := telling(name) == name && name != ""; got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
}

// FuzzPlain holds what is quoted of a file to one line without a secret.
func FuzzPlain(f *testing.F) {
	f.Add("Meta Llama 3.1 8B Instruct")
	f.Add("https://me:word@example.com/x?y#z")
	f.Add("a\x1b[31m\u202e\n b")
	f.Add("hf_" + strings.Repeat("a", 30))
	f.Fuzz(func(t *testing.T, text string) {
		address, _ := webAddress(text)
		for _, quoted := range []string{plainText(text), modelWord(text), address, description(text)} {
			if strings.ContainsFunc(quoted, isOdd) || hasToken(quoted) {
				t.Errorf("%q became %q", text, quoted)
			}
		}
		if strings.ContainsAny(modelWord(text), " \"\\/") || strings.ContainsAny(address, " ?#@\"") {
			t.Errorf("%q became %q and %q", text, modelWord(text), address)
		}
	})
}
