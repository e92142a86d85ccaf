package registry

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

const someDigest = digest.Digest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

func TestParseReference(t *testing.T) {
	for in, want := range map[string]string{
		"qwen3":                             "docker.io/library/qwen3:latest",
		"qwen3:v1":                          "docker.io/library/qwen3:v1",
		"ai/smollm2":                        "docker.io/ai/smollm2:latest",
		"docker.io/qwen3":                   "docker.io/library/qwen3:latest",
		"index.docker.io/ai/x:y":            "docker.io/ai/x:y",
		"localhost/x":                       "localhost/x:latest",
		"localhost:5000/m/x:v1":             "localhost:5000/m/x:v1",
		"127.0.0.1:5000/x":                  "127.0.0.1:5000/x:latest",
		"[::1]:5000/x:v1":                   "[::1]:5000/x:v1",
		"[::1]/x":                           "[::1]/x:latest",
		"GHCR.io/a/b":                       "ghcr.io/a/b:latest",
		"oci://ghcr.io/a/b:c":               "ghcr.io/a/b:c",
		"modelpack://a.example/b":           "a.example/b:latest",
		"a.example/b_c/d__e/f--g.h":         "a.example/b_c/d__e/f--g.h:latest",
		"a.example/b@" + string(someDigest): "a.example/b@" + string(someDigest),
		"a.example:1/b:V.1_-@" + string(someDigest):       "a.example:1/b:V.1_-@" + string(someDigest),
		"a.example/b:" + strings.Repeat("x", 128):         "a.example/b:" + strings.Repeat("x", 128),
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com/m":  "123456789012.dkr.ecr.eu-west-1.amazonaws.com/m:latest",
		"host:5000/" + strings.Repeat("a/", 100) + "b:v1": "host:5000/" + strings.Repeat("a/", 100) + "b:v1",
	} {
		ref, err := ParseReference(in)
		if err != nil {
			t.Errorf("%v", err)
		} else if ref.String() != want {
			t.Errorf("%q is %q, want %q", in, ref, want)
		}
	}
}

func TestParseReferenceRefuses(t *testing.T) {
	for in, want := range map[string]struct{ message, hint string }{
		"":                     {"repository is missing", "HOST/REPOSITORY"},
		"a.example/":           {"repository is missing", ""},
		"a.example/Qwen/Qwen3": {`"Qwen/Qwen3" has upper-case`, "use qwen/qwen3"},
		"Qwen/qwen3":           {"upper-case", "use qwen/qwen3"},
		"a.example/b//c":       {`part 2 of the repository "b//c" is empty`, ""},
		"/b":                   {"part 1", ""},
		"a.example/b/":         {"part 2", ""},
		"a.example/b c":        {`part 1 of the repository, "b c"`, "lower-case letters"},
		"a.example/.b":         {`".b"`, ""},
		"a.example/../b":       {`".."`, ""},
		"a.example/b:":         {"tag after : is empty", ""},
		"a.example/b:-x":       {`tag "-x"`, "128"},
		"a.example/b:" + strings.Repeat("x", 129): {"tag", "128"},
		"a.example/b@":           {"digest after @ is empty", ""},
		"a.example/b@sha256:abc": {`digest "sha256:abc"`, "64"},
		"a.example/b@md5:d41d8cd98f00b204e9800998ecf8427e": {"digest", "sha256"},
		"a.example:0/b":                         {`port "0"`, ""},
		"a.example:65536/b":                     {`port "65536"`, ""},
		"a.example:x/b":                         {`port "x"`, ""},
		"a..example/b":                          {"not a host name", ""},
		"-a.example/b":                          {"not a host name", ""},
		"[::1/b":                                {"IPv6", ""},
		"[1.2.3.4]/b":                           {"IPv6", ""},
		"https://a.example/b":                   {`scheme "https://"`, "use a.example/b"},
		"a.example/" + strings.Repeat("a", 256): {"256 characters", ""},
	} {
		_, err := ParseReference(in)
		if err == nil {
			t.Errorf("%q is accepted", in)
			continue
		}
		if !strings.Contains(err.Error(), want.message) || !strings.Contains(err.Error(), "parsing reference") {
			t.Errorf("%q: %q does not say %q", in, err, want.message)
		}
		if !strings.Contains(hintOf(err), want.hint) {
			t.Errorf("%q: hint %q does not say %q", in, hintOf(err), want.hint)
		}
	}
}

func TestReferenceParts(t *testing.T) {
	ref := parse(t, "a.example/b/c:v1@"+string(someDigest))
	if got := ref.Name(); got != "a.example/b/c" {
		t.Errorf("name %q", got)
	}
	if got := ref.Target(); got != string(someDigest) {
		t.Errorf("target %q: the digest decides", got)
	}
	if got := ref.WithTag("v2").Target(); got != "v2" {
		t.Errorf("target %q after WithTag", got)
	}
	if got := ref.WithDigest(someDigest).String(); got != "a.example/b/c@"+string(someDigest) {
		t.Errorf("%q after WithDigest", got)
	}
}

func TestRepositoryChecksReferences(t *testing.T) {
	c := newTestClient(t, Options{})
	for _, ref := range []Reference{{}, {Registry: "a.example"}, {Registry: "a.example", Repository: "../x"}, {Registry: "a/b", Repository: "x"}} {
		if _, err := c.Repository(ref); err == nil {
			t.Errorf("%+v is accepted", ref)
		}
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"qwen3:v1", "localhost:5000/a/b@" + string(someDigest), "[::1]:1/x", "A.b/c:d", "oci://x/y", "a:b@c", "x.y:z/:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := ParseReference(s)
		if err != nil {
			return
		}
		again, err := ParseReference(ref.String())
		if err != nil || again != ref {
			t.Errorf("%q: %+v is read back as %+v, %v", s, ref, again, err)
		}
	})
}
