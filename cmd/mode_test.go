package cmd

import (
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/tareml/tare/extract"
)

func TestFileMode(t *testing.T) {
	for s, want := range map[string]fileMode{
		"640": 0o640, "0640": 0o640, "600": 0o600, "400": 0o400, "777": 0o777, "00000000755": 0o755,
	} {
		var got fileMode
		if err := got.Set(s); err != nil || got != want {
			t.Errorf("%q is %v, %v, want %v", s, &got, err, &want)
		}
		var again fileMode
		if err := again.Set(got.String()); err != nil || again != got {
			t.Errorf("%q is printed as %s and read as %v, %v", s, &got, &again, err)
		}
	}
}

func TestFileModeRefuses(t *testing.T) {
	for s, reason := range map[string]string{
		"": "octal", "rw": "octal", "u=rw": "octal", "-1": "octal", "+640": "octal", "0o640": "octal", "689": "octal", "6 4 0": "octal",
		"4755": "permission bits only", "2755": "permission bits only", "1777": "permission bits only", "100644": "permission bits only",
		"7777777777777777777777777777": "permission bits only",
		"0":                            "owner", "000": "owner", "044": "owner", "300": "owner",
	} {
		var got fileMode
		if err := got.Set(s); err == nil || !strings.Contains(err.Error(), reason) || got != 0 {
			t.Errorf("%q is %v, %v, want %q", s, &got, err, reason)
		}
	}
}

func TestOwner(t *testing.T) {
	for s, want := range map[string]extract.Owner{
		"1000": {UID: 1000, GID: -1}, "1000:2000": {UID: 1000, GID: 2000}, ":2000": {UID: -1, GID: 2000},
		"0": {UID: 0, GID: -1}, "0:0": {UID: 0, GID: 0}, ":0": {UID: -1, GID: 0}, "4294967294": {UID: 4294967294, GID: -1},
	} {
		var got owner
		if err := got.Set(s); err != nil || *got.ids != want {
			t.Errorf("%q is %v, %v, want %v", s, &got, err, want)
		}
		if got.String() != s {
			t.Errorf("%q is printed as %s", s, &got)
		}
	}
}

func TestOwnerRefuses(t *testing.T) {
	for s, reason := range map[string]string{
		"": "UID:GID", ":": "UID:GID", "1000:": "UID:GID", "root": "not a number", "root:root": "not a number", "0:users": "not a number",
		"1000.1000": "not a number", "1:2:3": "not a number", "-1": "not a number", "0x10": "not a number", " 1": "not a number",
		"4294967295": "more than", ":4294967296": "more than", "99999999999999999999": "more than",
	} {
		var got owner
		if err := got.Set(s); err == nil || !strings.Contains(err.Error(), reason) || got.ids != nil {
			t.Errorf("%q is %v, %v, want %q", s, &got, err, reason)
		}
	}
}

// TestModeFlags: unset flags say so, and what a value is wrong about reaches the
// user, hint included.
func TestModeFlags(t *testing.T) {
	var mode fileMode
	var who owner
	cmd := &cobra.Command{Use: "test"}
	cmd.Flags().Var(&mode, "chmod", "mode")
	cmd.Flags().Var(&who, "chown", "owner")
	if usages := cmd.Flags().FlagUsages(); strings.Contains(usages, "default") {
		t.Errorf("there is a default:\n%s", usages)
	}
	if err := cmd.ParseFlags([]string{"--chmod", "4755"}); err == nil || !strings.Contains(err.Error(), "setuid") {
		t.Errorf("--chmod 4755: %v", err)
	}
	err := cmd.ParseFlags([]string{"--chown", "nobody"})
	var h hinter
	if !errors.As(err, &h) || !strings.Contains(h.Hint(), "names are not looked up") {
		t.Errorf("--chown nobody: %v, without its hint", err)
	}
	if mode != 0 || who.ids != nil {
		t.Errorf("a flag was set to %v, %v", &mode, &who)
	}
}
