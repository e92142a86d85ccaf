package generate

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"

	"github.com/tareml/tare/modelfile"
)

// vagueLicenses say nothing that a licence could be told by.
var vagueLicenses = []string{"", "unknown", "other", "none", "cc", "bsd", "gpl", "lgpl", "custom", "proprietary", "license", "gfdl"}

var licenseWord = regexp.MustCompile(`^[a-z0-9][a-z0-9.+-]{0,63}$`)

// licenseID is the SPDX identifier of a licence as model cards write it: license,
// and license_name where that is "other". Licences that SPDX has not got become
// LicenseRef-name. It is empty if the card does not tell.
func licenseID(id, name string) string {
	id, name = strings.ToLower(strings.TrimSpace(id)), strings.ToLower(strings.TrimSpace(name))
	if slices.Contains(vagueLicenses, id) {
		id = name
	}
	if slices.Contains(vagueLicenses, id) {
		return ""
	}
	if known := modelfile.LicenseID(id); known != "" {
		return known
	}
	if word := strings.ReplaceAll(id, " ", "-"); licenseWord.MatchString(word) {
		return "LicenseRef-" + strings.ReplaceAll(word, "+", "plus")
	}
	return ""
}

// sayLicense takes the card's word for the licence, else the text of the licence. Of
// one that neither tells, it notes where the card says that the text is.
func (s *study) sayLicense(c card) {
	var ids []string
	for _, id := range c.meta["license"] {
		ids = append(ids, licenseID(id, c.meta.first("license_name")))
	}
	from, link := "from "+c.file, c.meta.first("license_link")
	s.say(modelfile.License, s.licenseSource(from, link, ids...), ids...)
	s.sayLicenseTexts(link)
	if s.knows(modelfile.License) {
		return
	}
	if address := s.address("the licence "+from, link); address != "" {
		s.notes.add("LICENSE is left out: %s only says where the text is, %s", c.file, address)
	}
}

// sayLicenseTexts reads the files that are named as licences, and the one that the
// card links to.
func (s *study) sayLicenseTexts(link string) {
	var texts []file
	for _, f := range s.files {
		if isLicense(f.path) || f.path == path.Clean(link) {
			texts = append(texts, f)
		}
	}
	if texts == nil {
		return
	}
	scanner, err := licensecheck.NewScanner(knownTexts())
	if err != nil {
		s.notes.add("the texts of licences were not read: %v", err)
		return
	}
	for _, f := range texts {
		s.sayLicenseText(scanner, f.path)
	}
}

// sayLicenseText states the licence whose text is in a file, or notes that it is
// another one than was said.
func (s *study) sayLicenseText(scanner *licensecheck.Scanner, file string) {
	id, err := licenseIn(s.fsys, scanner, file)
	if err != nil {
		s.notes.add("the licence in %q was not read: %v", file, err)
	}
	said := s.facts[modelfile.License]
	if id != "" && said != nil && !slices.Contains(s.values(modelfile.License), id) {
		s.notes.add("%q has the text of %s, but LICENSE is %s %s", file, id, said[0].value, said[0].source)
	}
	s.say(modelfile.License, "from the text of "+file, id)
}

// licenseSource adds to a source the address of the text of a licence that has no name
// in SPDX.
func (s *study) licenseSource(from, link string, ids ...string) string {
	unnamed := slices.ContainsFunc(ids, func(id string) bool { return strings.HasPrefix(id, "LicenseRef-") })
	if !unnamed || s.knows(modelfile.License) {
		return from
	}
	if address := s.address("the licence "+from, link); address != "" {
		return from + ": its text is at " + address
	}
	return from
}

var licenseNames = regexp.MustCompile(`(?i)^(licen[cs]e|copying|model[-_]licen[cs]e|licen[cs]e[-_]model)(\.(md|txt|rst))?$`)

// isLicense knows the files that hold the licence of the whole. Those of code and
// of third parties are called otherwise.
func isLicense(file string) bool { return folder(file) == "" && licenseNames.MatchString(file) }

// leastCoverage is how much of a text must be that of a licence, in percent.
const leastCoverage = 75

// communityLicense is the title of the licences of Llama.
var communityLicense = regexp.MustCompile(`(?i)^\s*(?:meta )?llama (\d+(?:\.\d+)?) community license agreement\b`)

// scanned are the licences that are told by their text, as licensecheck calls
// them: all it knows would take seconds to make ready.
const scanned = "0BSD AFL-3.0 AGPL-3.0 Apache-2.0 Artistic-2.0 BSD-2-Clause BSD-3-Clause BSL-1.0 CC-BY-3.0 CC-BY-4.0 CC-BY-NC-4.0 " +
	"CC-BY-NC-ND-4.0 CC-BY-NC-SA-4.0 CC-BY-SA-3.0 CC-BY-SA-4.0 CC0-1.0 CDLA-Permissive-1.0 CDLA-Sharing-1.0 ECL-2.0 EPL-2.0 EUPL-1.2 " +
	"GPL-2.0 GPL-3.0 ISC LGPL-2.1 LGPL-3.0 MIT MPL-2.0 MulanPSL-2.0 NCSA ODC-By-1.0 ODbL-1.0 OFL-1.1 OSL-3.0 PDDL-1.0 Unlicense WTFPL Zlib"

func knownTexts() []licensecheck.License {
	wanted := strings.Fields(scanned)
	return slices.DeleteFunc(licensecheck.BuiltinLicenses(), func(l licensecheck.License) bool {
		return l.URL != "" || !slices.Contains(wanted, l.ID)
	})
}

// licenseIn tells a licence by its text; empty if it is none that is known.
func licenseIn(fsys fs.FS, scanner *licensecheck.Scanner, file string) (string, error) {
	text, err := readBounded(fsys, file, maxText)
	if err != nil {
		return "", err
	}
	if m := communityLicense.FindSubmatch(text[:min(len(text), 1<<10)]); m != nil {
		return "LicenseRef-llama" + string(m[1]), nil
	}
	const most = 256 << 10 // the longest licences have 50 KiB
	found := scanner.Scan(text[:min(len(text), most)])
	if found.Percent < leastCoverage || len(found.Match) == 0 {
		return "", nil
	}
	first := found.Match[0].ID
	if slices.ContainsFunc(found.Match, func(m licensecheck.Match) bool { return m.ID != first }) {
		return "", nil
	}
	return licenseID(first, ""), nil
}
