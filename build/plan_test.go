//go:build unix

package build_test

import (
	"fmt"
	"testing"
)

// TestEntriesThatTakeNothing: each is told of with those that were before it, be
// they literal or not; one that takes a single file is fine.
func TestEntriesThatTakeNothing(t *testing.T) {
	files := map[string]string{"a": "", "b.py": "", "sub/c.py": ""}
	for i := range 6 {
		files[fmt.Sprintf("d/%d", i)] = ""
	}
	dir := write(t, t.TempDir(), files)
	for text, want := range map[string]string{
		"MODEL a\nCODE *\nDOC **\n":                                       "[]",
		"MODEL a\nMODEL ./a\nCODE a\nMODEL a*\n":                          "[Modelfile:2:7: ./a takes nothing: line 1 has its files Modelfile:3:6: a takes nothing: line 1 has its files Modelfile:4:7: a* takes nothing: line 1 has its files]",
		"MODEL **\nCODE *.py\nCODE *.go\n":                                "[Modelfile:2:6: *.py takes nothing: line 1 has its files Modelfile:3:6: *.go matches no file]",
		"CODE **/*.py\nCODE *.py\nMODEL a\n":                              "[Modelfile:2:6: *.py takes nothing: line 1 has its files]",
		"MODEL a*\n\nCODE b.py\n\nDOC [ab]*\n":                            "[Modelfile:5:5: [ab]* takes nothing: lines 1, 3 have its files]",
		"DOC d/*\nDOC d/0\nDOC d/1\nDOC d/2\nDOC d/3\nDOC d/4\nDOC d/5\n": "[Modelfile:1:5: d/* takes nothing: other lines have its files]",
	} {
		p, err := plan(t, dir, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(p.Warnings); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
