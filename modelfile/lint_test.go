package modelfile_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tareml/tare/modelfile"
)

func TestLint(t *testing.T) {
	for line, want := range map[string]string{
		"PRECISION bfloat16":                  "",
		"PRECISION float16,float8_e4m3":       "",
		"PRECISION bf16":                      "write bfloat16",
		"PRECISION float16, int8":             "did you mean int8?",
		"PRECISION int4":                      "did you mean int8?",
		"PARAMSIZE 0.6B":                      "",
		"PARAMSIZE 671b":                      "",
		"PARAMSIZE 1.0t":                      "",
		"PARAMSIZE 0.62B":                     "one decimal",
		"PARAMSIZE 8 B":                       "one decimal",
		"PARAMSIZE 8G":                        "one decimal",
		"LANGUAGE en":                         "",
		"LANGUAGE yue":                        "",
		"LANGUAGE English":                    "write en",
		"LANGUAGE pt_BR":                      "write pt",
		"LANGUAGE EN":                         "write en",
		"LANGUAGE zzz":                        "such as en",
		"LANGUAGE jp":                         "such as en",
		"LANGUAGE Elvish":                     "such as en",
		"LICENSE Apache-2.0":                  "",
		"LICENSE MIT OR (Apache-2.0 AND MIT)": "",
		"LICENSE GPL-2.0-only WITH Classpath-exception-2.0": "",
		"LICENSE apache 2":                      "write Apache-2.0",
		"LICENSE Apache License, Version 2.0":   "write Apache-2.0",
		"LICENSE apache2":                       "write Apache-2.0",
		"LICENSE mit":                           "write MIT",
		"LICENSE The MIT License":               "write MIT",
		"LICENSE Apache-2.0 OR mit":             "write MIT",
		"LICENSE (mpl2 AND MIT)":                "write MPL-2.0",
		"LICENSE gpl3":                          "write GPL-3.0-only or GPL-3.0-or-later",
		"LICENSE GPL-3.0":                       "write GPL-3.0-only or GPL-3.0-or-later",
		"LICENSE gpl-3.0-only":                  "write GPL-3.0-only",
		"LICENSE GPLv2+":                        "write GPL-2.0-or-later",
		"LICENSE gpl-9.9":                       "",
		"LICENSE LicenseRef-mit":                "",
		"LICENSE Some-New-License-1.0":          "",
		"LICENSE do what you want":              "such as Apache-2.0",
		"LICENSE (MIT":                          "SPDX",
		"SOURCEURL https://example.com/x.git":   "",
		"SOURCEURL example.com/x":               "is no URL",
		"SOURCEURL https://me:secret@x.example": "credentials",
		"NAME anything at all":                  "",
		"FORMAT safetensors":                    "",
		"FORMAT pytorch":                        "write pt",
		"FORMAT SafeTensors":                    "write safetensors",
		"FORMAT Core ML":                        "write coreml",
		"FORMAT tf":                             "write tensorflow",
		"FORMAT something-new":                  "",
		"ARCH transformer":                      "",
		"ARCH Transformer":                      "write transformer",
		"ARCH transformers":                     "write transformer",
		"ARCH hyena":                            "",
		"QUANTIZATION awq":                      "",
		"QUANTIZATION AWQ":                      "write awq",
		"QUANTIZATION Q4_K_M,Q8_0":              "",
		"QUANTIZATION Q8_0,Q4_K_m":              "write Q4_K_M",
		"QUANTIZATION iq2_xxs":                  "write IQ2_XXS",
		"QUANTIZATION bnb":                      "write bitsandbytes",
		"QUANTIZATION mxfp4":                    "",
		"QUANTIZATION Q-new":                    "",
	} {
		f, err := modelfile.Parse("Modelfile", strings.NewReader("\n"+line+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		found := f.Lint("Modelfile")
		if want == "" {
			if len(found) > 0 {
				t.Errorf("%s: %v", line, found[0])
			}
			continue
		}
		if len(found) != 1 || !strings.Contains(found[0].Error()+"; "+found[0].Hint(), want) {
			t.Errorf("%s: %v, want one with %q", line, found, want)
		} else if found[0].Line != 2 || found[0].Column != strings.Index(line, " ")+2 || strings.Contains(found[0].Error(), "secret") {
			t.Errorf("%s: %v", line, found[0])
		}
	}
}

func TestParseReturnsWhatItCouldRead(t *testing.T) {
	f, err := modelfile.Parse("Modelfile", strings.NewReader("NAME x\nNAEM y\nMODEL a.bin\n"))
	if err == nil || f == nil || f.Value(modelfile.Name) != "x" || len(f.Patterns()) != 1 {
		t.Errorf("%+v, %v", f, err)
	}
}

// TestEveryCommandIsDocumented holds the page for people to the grammar.
func TestEveryCommandIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/modelfile.md")
	if err != nil {
		t.Fatal(err)
	}
	rows, known := "", map[string]bool{}
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "|") || strings.HasPrefix(line, "`CONFIG`") {
			rows += line
		}
	}
	for _, rule := range modelfile.Grammar() {
		known[rule.Command] = true
		if !strings.Contains(rows, "`"+rule.Command+"`") {
			t.Errorf("%s is not in docs/modelfile.md", rule.Command)
		}
	}
	for _, m := range regexp.MustCompile("`([A-Z]{3,})`").FindAllStringSubmatch(rows, -1) {
		if !known[m[1]] && m[1] != "DIR" && m[1] != "FILE" {
			t.Errorf("docs/modelfile.md has a command %s", m[1])
		}
	}
}
