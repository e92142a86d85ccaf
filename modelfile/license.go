package modelfile

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// spdxIDs are the identifiers of SPDX that are usual for models.
const spdxIDs = "AFL-3.0 Apache-2.0 Artistic-2.0 BSL-1.0 BSD-2-Clause BSD-3-Clause BSD-3-Clause-Clear C-UDA-1.0 CC0-1.0 CC-BY-2.0 CC-BY-2.5 " +
	"CC-BY-3.0 CC-BY-4.0 CC-BY-SA-3.0 CC-BY-SA-4.0 CC-BY-NC-2.0 CC-BY-NC-3.0 CC-BY-NC-4.0 CC-BY-ND-4.0 CC-BY-NC-ND-3.0 CC-BY-NC-ND-4.0 " +
	"CC-BY-NC-SA-2.0 CC-BY-NC-SA-3.0 CC-BY-NC-SA-4.0 CDLA-Sharing-1.0 CDLA-Permissive-1.0 CDLA-Permissive-2.0 ECL-2.0 EPL-1.0 EPL-2.0 " +
	"EUPL-1.1 EUPL-1.2 ISC LPPL-1.3c MIT MIT-0 MPL-2.0 MS-PL NCSA OFL-1.1 OSL-3.0 PDDL-1.0 PostgreSQL Unlicense WTFPL Zlib etalab-2.0 0BSD " +
	"AGPL-3.0-only AGPL-3.0-or-later GPL-2.0-only GPL-2.0-or-later GPL-3.0-only GPL-3.0-or-later LGPL-2.1-only LGPL-2.1-or-later " +
	"LGPL-3.0-only LGPL-3.0-or-later ODbL-1.0 ODC-By-1.0 MulanPSL-2.0 BlueOak-1.0.0"

// otherLicenses are what people and programs call some of them otherwise.
var otherLicenses = map[string]string{
	"c-uda": "C-UDA-1.0", "lgpl-lr": "LGPLLR", "odc-by": "ODC-By-1.0", "odbl": "ODbL-1.0", "pddl": "PDDL-1.0", "cc0": "CC0-1.0", "expat": "MIT",
	"mpl2": "MPL-2.0", "mpl-2": "MPL-2.0", "mpl2.0": "MPL-2.0", "bsd3": "BSD-3-Clause", "bsd-3": "BSD-3-Clause", "3-clause-bsd": "BSD-3-Clause",
	"bsd2": "BSD-2-Clause", "bsd-2": "BSD-2-Clause", "2-clause-bsd": "BSD-2-Clause",
}

var (
	licenseBlanks = regexp.MustCompile(`[\s_,-]+`)
	apacheLicense = regexp.MustCompile(`^apache(-license)?(-version)?-?v?2(\.0)?$`)
	gnuLicense    = regexp.MustCompile(`^([al]?gpl)-?v?([0-9])(\.[0-9])?(\+|-or-later|-only)?$`)
)

// LicenseID is the SPDX identifier of a licence as people write it: the identifier,
// or another name for it, in any case and with blanks for hyphens. It is empty if the
// licence is none of those that are usual for models. To SPDX the GNU ones without a
// word on later versions mean that version only.
func LicenseID(name string) string {
	name = licenseBlanks.ReplaceAllString(strings.ToLower(strings.TrimSpace(name)), "-")
	short := strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(name, "the-"), "-license"), "-licence")
	for known := range strings.FieldsSeq(spdxIDs) {
		if id := strings.ToLower(known); id == name || id == short {
			return known
		}
	}
	if apacheLicense.MatchString(short) {
		return "Apache-2.0"
	}
	return cmp.Or(gnuID(short), otherLicenses[short])
}

// gnuID knows gpl3, GPLv2+ and the like.
func gnuID(name string) string {
	m := gnuLicense.FindStringSubmatch(name)
	if m == nil {
		return ""
	}
	later := "-only"
	if m[4] == "+" || m[4] == "-or-later" {
		later = "-or-later"
	}
	id := strings.ToUpper(m[1]) + "-" + m[2] + cmp.Or(m[3], ".0") + later
	if !slices.Contains(strings.Fields(spdxIDs), id) {
		return ""
	}
	return id
}
