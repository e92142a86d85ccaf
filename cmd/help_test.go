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
