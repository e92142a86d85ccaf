package generate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	commitA = "0123456789abcdef0123456789abcdef01234567"
	commitB = "89abcdef0123456789abcdef0123456789abcdef"
)

// origin lists what is said of where files are from.
func origin(t *testing.T, dir string) string {
	t.Helper()
	facts, notes := described(t, dir, Options{Name: "x", Format: "x"})
	var out strings.Builder
	for _, f := range facts {
		if f.command == "SOURCEURL" || f.command == "REVISION" {
			fmt.Fprintf(&out, "%s %s\n", f.command, f.value)
		}
	}
	for _, n := range notes {
		if !strings.HasPrefix(n, "left out") {
			out.WriteString("- " + n + "\n")
		}
	}
	return out.String()
}

func TestGit(t *testing.T) {
	const config = "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://example.com/org/model\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
	const source = "SOURCEURL https://example.com/org/model\n"
	tests := []struct {
		name  string
		files model
		want  string
	}{
		{"a branch", model{".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": commitA + "\n", ".git/config": config}, source + "REVISION " + commitA + "\n"},
		{"packed", model{".git/HEAD": "ref: refs/heads/main\n", ".git/packed-refs": "# pack-refs with: peeled\n" + commitB + " refs/heads/other\n" + commitA + " refs/heads/main\n^" + commitB + "\n", ".git/config": config},
			source + "REVISION " + commitA + "\n"},
		{"detached", model{".git/HEAD": commitA, ".git/config": config}, source + "REVISION " + commitA + "\n"},
		{"no remote", model{".git/HEAD": commitA, ".git/config": ""}, "REVISION " + commitA + "\n"},
		{"two remotes without origin", model{".git/HEAD": commitA, ".git/config": "[remote \"a\"]\nurl=https://a.example/x\n[remote \"b\"]\nurl=https://b.example/x\n"}, "REVISION " + commitA + "\n"},
		{"another only remote", model{".git/HEAD": commitA, ".git/config": "[Remote \"a\"] URL = git@a.example:org/x.git # mine\n"}, "SOURCEURL https://a.example/org/x.git\nREVISION " + commitA + "\n"},
		{"a token", model{".git/HEAD": commitA, ".git/config": "[remote \"origin\"]\nurl = https://me:hf_secret@example.com/org/model\n"},
			source + "REVISION " + commitA + "\n- the address of the git remote has a user, a password or a query, which SOURCEURL leaves out\n"},
		{"nothing committed", model{".git/HEAD": "ref: refs/heads/main\n", ".git/config": config}, ""},
		{"a way out", model{".git/HEAD": "ref: refs/../../secret\n", "secret": commitA, ".git/config": config}, ""},
		{"no repository", model{".git/x": ""}, ""},
		{"not the top", model{"sub/.git/HEAD": commitA, "sub/.git/config": config}, ""},
		{"somebody else's", model{".git": "gitdir: ../victim/.git\n"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.files["m.dlc"] = "x"
			dir := tt.files.write(t, "x")
			victim := model{"HEAD": commitA, "config": config}.write(t, "victim/.git")
			if err := os.Rename(filepath.Dir(victim), filepath.Join(dir, "..", "victim")); err != nil {
				t.Fatal(err)
			}
			if got := origin(t, dir); got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
}

func TestGitWorkTree(t *testing.T) {
	base := model{
		"main/.git/HEAD":                     "ref: refs/heads/main\n",
		"main/.git/config":                   "[remote \"origin\"]\nurl = ssh://git@example.com:2222/org/model\n[core]\nworktree = ../../x\n",
		"main/.git/refs/heads/topic":         commitA,
		"main/.git/worktrees/tree/HEAD":      "ref: refs/heads/topic\n",
		"main/.git/worktrees/tree/commondir": "../..\n",
		"main/.git/worktrees/tree/gitdir":    "../../../../tree/.git\n",
		"tree/.git":                          "gitdir: ../main/.git/worktrees/tree\n",
		"tree/m.dlc":                         "x",
		"main/.git/modules/sub/HEAD":         commitB,
		"main/.git/modules/sub/config":       "[core]\n\tworktree = ../../../sub\n[remote \"origin\"]\n\turl = https://example.com/org/sub\n",
		"main/sub/.git":                      "gitdir: ../.git/modules/sub\n",
		"main/sub/m.dlc":                     "x",
		"copy/.git":                          "gitdir: ../main/.git/worktrees/tree\n",
		"copy/m.dlc":                         "x",
	}.write(t, "base")
	for dir, want := range map[string]string{
		"tree":     "SOURCEURL https://example.com/org/model\nREVISION " + commitA + "\n",
		"main/sub": "SOURCEURL https://example.com/org/sub\nREVISION " + commitB + "\n",
		"copy":     "",
	} {
		if got := origin(t, filepath.Join(base, filepath.FromSlash(dir))); got != want {
			t.Errorf("%s: got\n%swant\n%s", dir, got, want)
		}
	}
}

func TestPublicURL(t *testing.T) {
	for _, tt := range []struct {
		remote, want string
		stripped     bool
	}{
		{"https://huggingface.co/Qwen/Qwen3-0.6B", "https://huggingface.co/Qwen/Qwen3-0.6B", false},
		{"https://user:token@host.example/x.git", "https://host.example/x.git", true},
		{"https://hf_token@host.example/x", "https://host.example/x", true},
		{"https://host.example/x?private_token=y#z", "https://host.example/x", true},
		{"git@github.com:org/repo.git", "https://github.com/org/repo.git", false},
		{"github.com:/org/repo", "https://github.com/org/repo", false},
		{"ssh://git@host.example:22/x", "https://host.example/x", false},
		{"ssh://git:secret@host.example/x", "https://host.example/x", true},
		{"http://host.example:8080/x/", "http://host.example:8080/x", false},
		{"ssh://git@[::1]:22/x", "https://[::1]/x", false},
		{"https://user:12/token@host.example/x", "", true},
		{"https://user:12#token@host.example/x", "", true},
		{"https://user:12?token@host.example/x", "", true},
		{"git@host.example:token@x/y", "", true},
		{"mine:org/repo", "", false},
		{"host.example:~/repo", "", false},
		{`C:\models\x`, "", false},
		{"/srv/git/x", "", false},
		{"../x", "", false},
		{"file:///srv/git/x", "", false},
		{"https://", "", false},
		{"", "", false},
	} {
		if got, stripped := publicURL(tt.remote); got != tt.want || stripped != tt.stripped {
			t.Errorf("%q: got %q, %v", tt.remote, got, stripped)
		}
	}
}

func TestParseGitConfig(t *testing.T) {
	got := fmt.Sprint(parseGitConfig("; c\n[a \"b\\\"c\"]\n\tKey = \"x # y\" ; z\n flag\n[D] e = f\\\n  g\r\n[broken\nh = \"i\\tj\"\nk = l\\@m\n\\"))
	if want := "[{a b\"c key x # y} {a b\"c flag } {d  e f  g} {broken  h i\tj} {broken  k } {broken  \\ }]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func FuzzGitConfig(f *testing.F) {
	f.Add("[remote \"origin\"]\n\turl = git@host.example:a/b.git\n")
	f.Add("[a \"b\\\"]\nc = \"d\\\n#e")
	f.Add("=\n[\"")
	f.Fuzz(func(t *testing.T, text string) {
		remote := remoteOf(parseGitConfig(text))
		got, _ := publicURL(remote)
		if strings.ContainsAny(got, "@?# \n") {
			t.Errorf("%q became %q", remote, got)
		}
	})
}
