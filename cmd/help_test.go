package cmd

import (
	"strings"
	"testing"
)

// TestUnknownWords: what is no command or no flag is wrong usage, and the hint
// names what was meant.
func TestUnknownWords(t *testing.T) {
	for line, want := range map[string]string{
		"psuh":                      "error: unknown command \"psuh\" for \"tare\"\nhint: did you mean push?\n",
		"pack":                      "error: unknown command \"pack\" for \"tare\"\nhint: did you mean build?\n",
		"rmi h.io/r:v1":             "error: unknown command \"rmi\" for \"tare\"\nhint: did you mean rm?\n",
		"delete h.io/r:v1":          "error: unknown command \"delete\" for \"tare\"\nhint: did you mean rm?\n",
		"images":                    "error: unknown command \"images\" for \"tare\"\nhint: did you mean ls?\n",
		"upload":                    "error: unknown command \"upload\" for \"tare\"\nhint: did you mean push?\n",
		"download":                  "error: unknown command \"download\" for \"tare\"\nhint: did you mean pull?\n",
		"show":                      "error: unknown command \"show\" for \"tare\"\nhint: did you mean inspect?\n",
		"clean":                     "error: unknown command \"clean\" for \"tare\"\nhint: did you mean prune?\n",
		"gc":                        "error: unknown command \"gc\" for \"tare\"\nhint: did you mean prune?\n",
		"prun":                      "error: unknown command \"prun\" for \"tare\"\nhint: did you mean prune?\n",
		"pru":                       "error: unknown command \"pru\" for \"tare\"\nhint: did you mean prune?\n",
		"pu":                        "error: unknown command \"pu\" for \"tare\"\nhint: did you mean pull or push?\n",
		"p":                         "error: unknown command \"p\" for \"tare\"\nhint: did you mean pull or push?\n",
		"generate .":                "error: unknown command \"generate\" for \"tare\"\nhint: did you mean modelfile generate?\n",
		"check":                     "error: unknown command \"check\" for \"tare\"\nhint: did you mean modelfile check?\n",
		"fmt":                       "error: unknown command \"fmt\" for \"tare\"\nhint: did you mean modelfile fmt?\n",
		"help fmt":                  "error: unknown command \"fmt\" for \"tare\"\nhint: did you mean modelfile fmt?\n",
		"run":                       "error: unknown command \"run\" for \"tare\"\nhint: tare --help\n",
		"r":                         "error: unknown command \"r\" for \"tare\"\nhint: tare --help\n",
		"prone":                     "error: unknown command \"prone\" for \"tare\"\nhint: tare --help\n",
		"cp a b":                    "error: unknown command \"cp\" for \"tare\"\nhint: tare --help\n",
		"ps":                        "error: unknown command \"ps\" for \"tare\"\nhint: tare --help\n",
		"--debug pull h.io/r:v1":    "error: unknown flag: --debug\nhint: it goes after the command: tare pull --debug\n",
		"--insecure list":           "error: unknown flag: --insecure\nhint: tare --help\n",
		"rm -f h.io/r:v1":           "error: unknown shorthand flag: 'f' in -f\nhint: leave it out: tare rm asks nothing\n",
		"prune --force":             "error: unknown flag: --force\nhint: leave it out: tare prune asks nothing\n",
		"ls -q":                     "error: unknown shorthand flag: 'q' in -q\nhint: to see digests alone: --format '{{.Digest}}'\n",
		"build .":                   "error: no name for the artifact\nhint: give it one: tare build -t registry.example.com/team/model:v1 .\n",
		"build h.io/r:v1 .":         "error: no name for the artifact: it goes behind -t\nhint: tare build -t h.io/r:v1 .\n",
		"build -t h.io/r:v1 a b":    "error: \"b\" is one argument too many: tare build -t REF [-f MODELFILE] DIR\nhint: tare build --help\n",
		"build -t h.io/r:v1":        "error: an argument is missing: tare build -t REF [-f MODELFILE] DIR\nhint: tare build --help\n",
		"pull h.io/r:v1 out":        "error: \"out\" is one argument too many: tare pull REF\nhint: to put the files into out: tare extract h.io/r:v1 out\n",
		"pull h.io/r:v1 out more":   "error: \"out\" is one argument too many: tare pull REF\nhint: tare pull --help\n",
		"nosuchcommand":             "error: unknown command \"nosuchcommand\" for \"tare\"\nhint: tare --help\n",
		"help psuh":                 "error: unknown command \"psuh\" for \"tare\"\nhint: did you mean push?\n",
		"help nosuchcommand":        "error: unknown command \"nosuchcommand\" for \"tare\"\nhint: tare --help\n",
		"help modelfile genrate":    "error: unknown command \"genrate\" for \"tare modelfile\"\nhint: did you mean generate?\n",
		"help modelfile whatever":   "error: unknown command \"whatever\" for \"tare modelfile\"\nhint: tare modelfile --help\n",
		"modelfile genrate":         "error: unknown command \"genrate\" for \"tare modelfile\"\nhint: did you mean generate?\n",
		"push -q h.io/r:v1":         "error: unknown shorthand flag: 'q' in -q\nhint: to see no progress: --progress none\n",
		"build -rq -t h.io/r:v1 .":  "error: unknown shorthand flag: 'r' in -rq\nhint: did you mean --raw?\n",
		"pull --quiet h.io/r:v1":    "error: unknown flag: --quiet\nhint: to see no progress: --progress none\n",
		"push --plain-htp h.io/r:1": "error: unknown flag: --plain-htp\nhint: did you mean --plain-http?\n",
		"ls --formatt json":         "error: unknown flag: --formatt\nhint: did you mean --format?\n",
		"push --pr h.io/r:1":        "error: unknown flag: --pr\nhint: did you mean --progress or --proxy?\n",
		"push --p h.io/r:1":         "error: unknown flag: --p\nhint: did you mean --plain-http, --progress or --proxy?\n",
		"push --whatever h.io/r:1":  "error: unknown flag: --whatever\nhint: tare push --help\n",
		"push -x h.io/r:1":          "error: unknown shorthand flag: 'x' in -x\nhint: tare push --help\n",
		"push -c many h.io/r:1":     "error: invalid argument \"many\" for \"-c, --concurrency\" flag: strconv.ParseInt: parsing \"many\": invalid syntax\nhint: tare push --help\n",
	} {
		code, stdout, stderr := run(t, strings.Fields(line)...)
		if code != exitUsage || stdout != "" || stderr != want {
			t.Errorf("tare %s: exit code %d, stdout %q, stderr %q, want %q", line, code, stdout, stderr, want)
		}
	}
}

func TestHelp(t *testing.T) {
	for line, want := range map[string]string{
		"help":                    "tare packages AI models",
		"help login":              "Check credentials with a registry",
		"help push h.io/r:v1":     "Send an artifact from the local store",
		"help modelfile":          "Work with Modelfiles",
		"help modelfile generate": "Write a Modelfile that describes",
		"help help":               "Help provides help",
		"help completion bash":    "Generate the autocompletion script for the bash shell",
	} {
		code, stdout, stderr := run(t, strings.Fields(line)...)
		if code != exitOK || !strings.HasPrefix(stdout, want) || !strings.Contains(stdout, "\nUsage:\n") || stderr != "" {
			t.Errorf("tare %s: exit code %d, stdout %q, stderr %q", line, code, stdout, stderr)
		}
	}
}
