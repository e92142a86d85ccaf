package generate

import (
	"strings"
	"testing"
)

const mit = `MIT License

Copyright (c) 2024 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
`

func TestLicense(t *testing.T) {
	readme := func(lines string) string { return "---\n" + lines + "\n---\n" }
	tests := []struct {
		name  string
		files model
		want  string
	}{
		{"by the card", model{"README.md": readme("license: apache-2.0")}, "LICENSE Apache-2.0 (from README.md)\n"},
		{"several", model{"README.md": readme("license: [mit, cc-by-nc-4.0]")}, "LICENSE MIT (from README.md)\nLICENSE CC-BY-NC-4.0 (from README.md)\n"},
		{"by the text", model{"LICENSE": mit}, "LICENSE MIT (from the text of LICENSE)\n"},
		{"both agree", model{"README.md": readme("license: mit"), "LICENSE": mit}, "LICENSE MIT (from README.md)\n"},
		{"they disagree", model{"README.md": readme("license: apache-2.0"), "LICENSE.txt": mit},
			"LICENSE Apache-2.0 (from README.md)\n- \"LICENSE.txt\" has the text of MIT, but LICENSE is Apache-2.0 from README.md\n"},
		{"by a link", model{"README.md": readme("license: other\nlicense_link: terms/ours.txt"), "terms/ours.txt": mit}, "LICENSE MIT (from the text of terms/ours.txt)\n"},
		{"a link to a name that is not known", model{"README.md": readme("license: other\nlicense_name: ours\nlicense_link: https://example.com/l?x")},
			"LICENSE LicenseRef-ours (from README.md: its text is at https://example.com/l)\n- the address of the licence from README.md has a user, a password or a query in it, which is left out\n"},
		{"nothing but a link", model{"README.md": readme("license: other\nlicense_link: https://example.com/l")},
			"- LICENSE is left out: README.md only says where the text is, https://example.com/l\n"},
		{"a link out", model{"README.md": readme("license: other\nlicense_link: ../../etc/passwd")}, ""},
		{"that of the code", model{"LICENSE-CODE": mit}, ""},
		{"that of somebody else", model{"third_party/LICENSE": mit}, ""},
		{"too much else", model{"LICENSE": mit + strings.Repeat("and furthermore you owe us all of your money. ", 30)}, ""},
		{"Llama's", model{"LICENSE": "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\nLlama 3.1 Version Release Date: July 23, 2024\n"},
			"LICENSE LicenseRef-llama3.1 (from the text of LICENSE)\n"},
		{"nothing", model{"LICENSE": "all rights reserved"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.files["m.dlc"] = "x"
			facts, said := described(t, tt.files.write(t, "x"), Options{Name: "x", Format: "x"})
			got := strings.TrimPrefix(lines(facts, true), "NAME x (as given)\nFORMAT x (as given)\n")
			for _, n := range said {
				got += "- " + n + "\n"
			}
			if got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
}

func TestLicenseID(t *testing.T) {
	for _, tt := range []struct{ id, name, want string }{
		{"apache-2.0", "", "Apache-2.0"},
		{"MIT", "", "MIT"},
		{"llama3.1", "", "LicenseRef-llama3.1"},
		{"gpl-3.0", "", "GPL-3.0-only"},
		{"openrail++", "", "LicenseRef-openrailplusplus"},
		{"other", "flux-1-dev-non-commercial-license", "LicenseRef-flux-1-dev-non-commercial-license"},
		{"other", "Qwen RESEARCH", "LicenseRef-qwen-research"},
		{"other", "apache-2.0", "Apache-2.0"},
		{"other", "", ""},
		{"unknown", "", ""},
		{"bsd", "", ""},
		{"see the file\nbelow", "", ""},
		{"https://example.com/license", "", ""},
	} {
		if got := licenseID(tt.id, tt.name); got != tt.want {
			t.Errorf("%q, %q: got %q, want %q", tt.id, tt.name, got, tt.want)
		}
	}
}

// TestScannedLicenses holds each licence that is looked for to a name of SPDX.
func TestScannedLicenses(t *testing.T) {
	if got, want := len(knownTexts()), len(strings.Fields(scanned)); got != want {
		t.Errorf("there are %d texts for %d licences", got, want)
	}
	for id := range strings.FieldsSeq(scanned) {
		if got := licenseID(id, ""); got == "" || strings.HasPrefix(got, "LicenseRef-") {
			t.Errorf("%s is called %q", id, got)
		}
	}
}
