package hostile

import (
	"strings"
	"unicode/utf8"

	"github.com/tareml/tare/modelpack"
)

// badPath is a path that no file of an artifact may have.
type badPath struct{ name, path string }

// pathsOf lists bad paths, of which the absolute ones lead to bait.
func pathsOf(bait string) []badPath {
	return []badPath{
		{"above", "../" + Outside},
		{"two above", "../../" + Outside},
		{"above, later", "sub/../../" + Outside},
		{"above, behind a dot", "./../" + Outside},
		{"ends above", "sub/.."},
		{"only above", ".."},
		{"absolute", bait + "/" + Outside},
		{"absolute, two slashes", "//" + strings.TrimPrefix(bait, "/") + "/" + Outside},
		{"drive letter", `C:/` + Outside},
		{"drive letter, relative", `C:` + Outside},
		{"backslash", `..\` + Outside},
		{"backslash within", `sub\file.txt`},
		{"share", `\\host\share\` + Outside},
		{"NUL", "nul\x00.txt"},
		{"not UTF-8", "utf\xff.txt"},
		{"empty", ""},
		{"dot", "."},
		{"long name", strings.Repeat("n", 256)},
		{"long path", strings.Repeat("long/", 900) + "file.txt"},
		{"very long path", strings.Repeat("n", 300*kib)},
		{"deep path", strings.Repeat("d/", 1000) + "f"},
		{"our state", modelpack.StateDir + "/state.json"},
		{"our state, a file of it", modelpack.StateDir + "/mine"},
		{"our state, staging", modelpack.StateDir + "/staging/x"},
		{"our state itself", modelpack.StateDir},
		{"our state in capitals", strings.ToUpper(modelpack.StateDir) + "/mine"},
		{"our state, as Windows trims it", modelpack.StateDir + ". /mine"},
	}
}

// badPaths puts each bad path in each place where a path can stand.
func badPaths(bait string) []Case {
	var cases []Case
	for _, p := range pathsOf(bait) {
		if utf8.ValidString(p.path) { // JSON has no others
			cases = append(cases, refused("raw path: "+p.name, raw(p.path, "x")))
		}
		if utf8.ValidString(p.path) && p.path != "" && p.path != "." { // these mean that entries have names
			cases = append(cases, refused("tar path: "+p.name, tarred(p.path, file("plain.txt", "x"))))
		}
		cases = append(cases, badEntries(p)...)
	}
	return cases
}

// badEntries names an entry by a bad path in each way that archives have. A NUL
// ends a name in all of them but one.
func badEntries(p badPath) []Case {
	cases := []Case{refused("PAX name: "+p.name, tarred("", paxFile(p.path, "x")))}
	if p.name == "empty" { // a record without a value is one that is not there
		cases = nil
	}
	if p.name == "NUL" {
		return cases
	}
	if len(p.path) < offMode {
		cases = append(cases,
			refused("entry name: "+p.name, tarred("", file(p.path, "x"))),
			refused("entry name under a good path: "+p.name, tarred("model.bin", file(p.path, "x")).declaring(1)))
	}
	if p.path != "" {
		cases = append(cases, refused("GNU name: "+p.name, tarred("", gnuFile(p.path, "x"))))
	}
	if p.path != "" && p.path != "." && !strings.HasSuffix(p.path, "/..") && len(p.path) < offMode {
		cases = append(cases, refused("directory entry: "+p.name, tarred("", dir(p.path+"/"), file("plain.txt", "x"))))
	}
	return cases
}

// escapes are about messages: what a terminal would obey must not get there.
func escapes() []Case {
	const red = "evil\x1b[31m\x1b]0;owned\x07\u009b1m.txt"
	return []Case{
		accepted("escapes in a name", one(red, "x"), raw(red, "x")),
		refused("escapes in the path of a damaged layer", raw(red, "content").damaged(flip(0))),
		refused("escapes in a bad path", raw("../"+red, "x")),
		refused("escapes in the name of a bad entry", tarred("", paxFile("../"+red, "x"))),
		refused("escapes in the name of a link", tarred("", pax(typePAX, "path", red, "linkpath", "/"+red), link(typeSymlink, "l", "t"))),
		refused("escapes in the digest", raw("model.bin", "x").described(setDigest("sha256:\x1b[31m"))),
	}
}
