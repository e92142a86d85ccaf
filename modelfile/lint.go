package modelfile

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Lint lists the values that a Modelfile may have and that other tools may make
// nothing of: those outside the vocabulary of the model spec. Errors call the
// Modelfile name.
func (f *File) Lint(name string) []*SyntaxError {
	var found []*SyntaxError
	for _, s := range f.Statements {
		rule, ok := lookup(s.Command)
		if !ok || rule.advise == nil {
			continue
		}
		if msg, hint := rule.advise(s.Value); msg != "" {
			found = append(found, NewSyntaxError(name, s.Line, s.Column, msg, hint))
		}
	}
	return found
}

// Precisions are the words that the model spec has for PRECISION.
func Precisions() []string {
	return []string{
		"float32", "float64", "float16", "bfloat16", "float8_e4m3", "float8_e5m2", "complex32", "complex64", "complex128",
		"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool",
	}
}

// commonPrecisions are what people write for some of them.
var commonPrecisions = map[string]string{
	"fp32": "float32", "f32": "float32", "float": "float32", "fp64": "float64", "double": "float64",
	"fp16": "float16", "f16": "float16", "half": "float16", "bf16": "bfloat16",
	"fp8": "float8_e4m3", "float8": "float8_e4m3", "float8_e4m3fn": "float8_e4m3",
}

func advisePrecision(value string) (msg, hint string) {
	for word := range strings.SplitSeq(value, ",") {
		if slices.Contains(Precisions(), word) {
			continue
		}
		hint := "use " + strings.Join(Precisions(), ", ")
		if usual := commonPrecisions[strings.ToLower(word)]; usual != "" {
			hint = "write " + usual
		} else {
			hint = didYouMean(strings.ToLower(strings.TrimSpace(word)), Precisions(), hint)
		}
		return fmt.Sprintf("%s is no precision of the model spec", quoteShort(word)), hint
	}
	return "", ""
}

var paramSizePattern = regexp.MustCompile(`^[0-9]+(\.[0-9])?[QTBMKqtbmk]$`)

func adviseParamSize(value string) (msg, hint string) {
	if paramSizePattern.MatchString(value) {
		return "", ""
	}
	return fmt.Sprintf("%s is no size of the model spec", quoteShort(value)),
		"a number with one decimal at most and one of K, M, B, T, Q, such as 0.6B or 671B"
}

func adviseLanguage(value string) (msg, hint string) {
	switch code := LanguageCode(value); code {
	case value:
		return "", ""
	case "":
		return fmt.Sprintf("%s is no ISO 639 code", quoteShort(value)), "such as en or zh"
	default:
		return fmt.Sprintf("%s is no ISO 639 code", quoteShort(value)), "write " + code
	}
}

// licensePattern knows the shape of an SPDX expression, and no names.
var licensePattern = regexp.MustCompile(`^\(*[A-Za-z0-9.+:-]+\)*( (AND|OR|WITH) \(*[A-Za-z0-9.+:-]+\)*)*$`)

func adviseLicense(value string) (msg, hint string) {
	if !licensePattern.MatchString(value) || strings.Count(value, "(") != strings.Count(value, ")") {
		hint := "such as Apache-2.0, MIT OR Apache-2.0, LicenseRef-name"
		if id := LicenseID(value); id != "" {
			hint = "write " + spelled(id, value)
		}
		return fmt.Sprintf("%s is no SPDX expression", quoteShort(value)), hint
	}
	for word := range strings.FieldsSeq(value) {
		word = strings.Trim(word, "()")
		if id := LicenseID(word); id != "" && id != word {
			return fmt.Sprintf("%s is not how SPDX writes it", quoteShort(word)), "write " + spelled(id, word)
		}
	}
	return "", ""
}

// spelled is what to write for a licence that was called name. SPDX has an author
// of the GNU ones say what is with later versions.
func spelled(id, name string) string {
	version, only := strings.CutSuffix(id, "-only")
	if only && !strings.HasSuffix(strings.ToLower(name), "only") {
		return version + "-only or " + version + "-or-later"
	}
	return id
}

func adviseURL(value string) (msg, hint string) {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Scheme == "" || u.Host == "":
		return fmt.Sprintf("%s is no URL", quoteShort(value)), "such as https://example.com/model"
	case u.User != nil:
		return "the URL has credentials in it, for all to read", "leave out what stands before the @"
	}
	return "", ""
}
