package registry

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// writeHosts writes a hosts.toml for a directory's name, and returns where all
// of them are.
func writeHosts(t *testing.T, root, name, text string) {
	t.Helper()
	dir := filepath.Join(root, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoadHosts(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "docker.io")
	in := func(file string) string { return filepath.Join(dir, file) }
	absolute := filepath.Join(root, "elsewhere", "ca.pem")
	for _, test := range []struct {
		name, text string
		want       Hosts
	}{
		{"empty", ``, Hosts{Server: Host{Pull: true, Resolve: true, Push: true}}},
		{"server alone", `server = "https://Example.com:8443/"`, Hosts{
			Server: Host{URL: "https://example.com:8443/v2", Pull: true, Resolve: true, Push: true},
		}},
		{"server that docker's documents name", `server = "https://docker.io"`, Hosts{
			Server: Host{URL: "https://registry-1.docker.io/v2", Pull: true, Resolve: true, Push: true},
		}},
		{"tables in order of appearance", `
			[host."https://z.example"]
			capabilities = ["pull"]
			[host."a.example".header]
			x-one = "1"
			[host."https://m.example:5000/v2/proxy"]
			capabilities = ["Pull", "resolve"]
			override_path = true
			[host]
			"http://b.example" = {capabilities = ["push"]}
			`, Hosts{
			Server: Host{Pull: true, Resolve: true, Push: true},
			Mirrors: []Host{
				{URL: "https://z.example/v2", Pull: true},
				{URL: "https://a.example/v2", Pull: true, Resolve: true, Push: true, Header: http.Header{"X-One": {"1"}}},
				{URL: "https://m.example:5000/v2/proxy", Pull: true, Resolve: true},
				{URL: "http://b.example/v2", Push: true},
			},
		}},
		{"everything at the top", `
			server = "127.0.0.1:5000/prefix//x/"
			capabilities = ["pull", "resolve"]
			ca = "ca.crt"
			client = "both.pem"
			skip_verify = true
			dial_timeout = "3s"
			[header]
			x-many = ["1", "2"]
			`, Hosts{Server: Host{
			URL: "http://127.0.0.1:5000/prefix/x/v2", Pull: true, Resolve: true, SkipVerify: true,
			Header: http.Header{"X-Many": {"1", "2"}},
			CA:     []string{in("ca.crt")}, Client: [][2]string{{in("both.pem"), in("both.pem")}},
		}}},
		{"lists of files", `
			ca = ["sub/a.crt", '` + absolute + `']
			client = ["a.pem", "b.pem"]
			capabilities = []
			`, Hosts{Server: Host{
			Pull: true, Resolve: true, Push: true,
			CA:     []string{in("sub/a.crt"), absolute},
			Client: [][2]string{{in("a.pem"), in("a.pem")}, {in("b.pem"), in("b.pem")}},
		}}},
		{"pairs of files", `client = [["a.cert", "a.key"], ["b.pem", ""]]`, Hosts{Server: Host{
			Pull: true, Resolve: true, Push: true,
			Client: [][2]string{{in("a.cert"), in("a.key")}, {in("b.pem"), in("b.pem")}},
		}}},
	} {
		writeHosts(t, root, "docker.io", test.text)
		got, err := LoadHosts(root, "docker.io")
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", test.name, got, err, test.want)
		}
	}
}

func TestHostsAreFoundByDirectory(t *testing.T) {
	root := t.TempDir()
	load := func(registry string) string {
		t.Helper()
		hosts, err := LoadHosts(root, registry)
		if err != nil {
			t.Fatal(err)
		}
		return hosts.Server.URL
	}
	const registry = "r.example:5000"
	if got, err := LoadHosts(filepath.Join(root, "none"), registry); err != nil || !reflect.DeepEqual(got, Hosts{}) {
		t.Errorf("no directory: %+v, %v", got, err)
	}
	for _, step := range []struct{ dir, server, want string }{
		{"other.example", "other.example", ""},
		{"_default", "default.example", "https://default.example/v2"},
		{hostsDirNames(registry)[1], "colon.example", "https://colon.example/v2"},
		{"r.example_5000_", "underscores.example", "https://underscores.example/v2"},
	} {
		writeHosts(t, root, step.dir, `server = "`+step.server+`"`)
		if got := load(registry); got != step.want {
			t.Errorf("with %s: %q, want %q", step.dir, got, step.want)
		}
	}
	if got := load("[::1]:5000"); got != "https://default.example/v2" {
		t.Errorf("another registry: %q", got)
	}
}

func TestADirectoryWithoutHostsSpeaksForItsRegistry(t *testing.T) {
	root := t.TempDir()
	writeHosts(t, root, "_default", `server = "default.example"`)
	if err := os.Mkdir(filepath.Join(root, "r.example"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := LoadHosts(root, "r.example"); err != nil || !reflect.DeepEqual(got, Hosts{}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestLoadHostsStaysInItsDirectory(t *testing.T) {
	for _, registry := range []string{"", "..", "../x", "a/b", `a\b`, "."} {
		if _, err := LoadHosts(t.TempDir(), registry); err == nil {
			t.Errorf("%q was looked up", registry)
		}
	}
}

func TestLoadHostsSaysWhatIsWrong(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "r.example", "hosts.toml")
	for _, test := range []struct{ text, want, hint string }{
		{"server = \n", file + ":1: ", ""},
		{"\nskip_verify = 1\n", "bool", ""},
		{"\n\ncapabilities = [\"pull\", \"delete\"]\n", file + `:3: capabilities: "delete"`, ""},
		{"[host.\"https://m.example\"]\nca = 1\n", file + ":2: ca: neither a string nor an array", ""},
		{"ca = [\"\"]", "the name of a file is empty", ""},
		{"client = [[\"a\"]]", "client: a pair is", ""},
		{"client = [[]]", "client: a pair is", ""},
		{"client = \"\"", "client: the name of a file is empty", ""},
		{"client = {a = \"b\"}", "client: neither", ""},
		{"[header]\n\"a b\" = \"c\"", `header "a b": not the name`, ""},
		{"[header]\na = \"c\\nd\"", `header "a": a control character`, ""},
		{"header = \"x\"", "header is not a table", ""},
		{"[host.\"https://m.example\"]\ncapabilitys = [\"pull\"]", `unknown key host."https://m.example".capabilitys`, "known are server"},
		{"mirrors = [1]", "unknown key mirrors", "known are server"},
		{"[Host.\"https://m.example\"]\ncapabilities = [\"pull\"]", "unknown key Host", "known are server"},
		{"[host.\"https://m.example\"]\nproxy = \"http://p\"", "proxy is not supported", "--proxy"},
		{"server = \"ftp://m.example\"", `scheme "ftp"`, "use https://m.example"},
		{"[host.\"\"]", `address "" has no host`, ""},
		{"[host.\"https://m.example/x?token=s3cret\"]", `address "https://m.example/x" has a query`, "leave out"},
		{"[host.\"https://user:s3cret@m.example/x\"]", `"m.example" has credentials`, "tare login m.example"},
		{"[host.\"https://user:s3cret@m.example/x\"]\nunknown = 1", `"m.example" has credentials`, "tare login m.example"},
	} {
		writeHosts(t, root, "r.example", test.text)
		got, err := LoadHosts(root, "r.example")
		if err == nil || !reflect.DeepEqual(got, Hosts{}) {
			t.Errorf("%q: taken as %+v", test.text, got)
			continue
		}
		if text := err.Error(); !strings.HasPrefix(text, file) || !strings.Contains(text, test.want) || strings.Contains(text, "s3cret") {
			t.Errorf("%q: %v", test.text, err)
		}
		if hint := hintOf(err); !strings.Contains(hint, test.hint) || strings.Contains(hint, "s3cret") {
			t.Errorf("%q: hint %q", test.text, hint)
		}
	}
}

func TestDocumentedHostsAreRight(t *testing.T) {
	page, err := os.ReadFile("../docs/mirrors.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for block := range strings.SplitSeq(string(page), "```toml\n") {
		text, _, ok := strings.Cut(block, "```")
		if n++; n == 1 || !ok { // what is in front of the first block
			continue
		}
		hosts, err := parseHosts(t.TempDir(), text)
		if err != nil || len(hosts.Mirrors) == 0 || !hosts.Mirrors[0].Pull || !hosts.Mirrors[0].Resolve {
			t.Errorf("%v, %+v:\n%s", err, hosts, text)
		}
	}
	if n < 5 {
		t.Errorf("%d examples, want 4 or more", n-1)
	}
}

func TestParseMirror(t *testing.T) {
	for _, test := range []struct{ in, registry, url string }{
		{"mirror.example.com", "", "https://mirror.example.com/v2"},
		{"mirror.example.com:5000", "", "https://mirror.example.com:5000/v2"},
		{"localhost:5000", "", "http://localhost:5000/v2"},
		{"[::1]:5000/x", "", "http://[::1]:5000/x/v2"},
		{"https://127.0.0.1:4001", "", "https://127.0.0.1:4001/v2"},
		{"http://mirror.example.com/", "", "http://mirror.example.com/v2"},
		{"https://mirror.example.com/a=b", "", "https://mirror.example.com/a=b/v2"},
		{"https://mirror.example.com/a/v2/", "", "https://mirror.example.com/a/v2"},
		{"docker.io=https://mirror.example.com/prefix", "docker.io", "https://mirror.example.com/prefix/v2"},
		{"Index.docker.io=mirror.example.com", "docker.io", "https://mirror.example.com/v2"},
		{"localhost=docker.io", "localhost", "https://registry-1.docker.io/v2"},
		{"r.example:5000=HTTPS://M.example", "r.example:5000", "https://m.example/v2"},
	} {
		registry, h, err := ParseMirror(test.in)
		want := Host{URL: test.url, Pull: true, Resolve: true}
		if err != nil || registry != test.registry || !reflect.DeepEqual(h, want) {
			t.Errorf("%s: %q, %+v, %v", test.in, registry, h, err)
		}
	}
}

func TestParseMirrorSaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct{ in, want, hint string }{
		{"", "no host", ""},
		{"=https://m.example", "no registry in front of =", "REGISTRY=URL"},
		{"docker.io=", "no address after =", "REGISTRY=URL"},
		{"docker=https://m.example", `registry "docker"`, "a dot or a port"},
		{"a..b=m.example", "is not a host name", ""},
		{"https://", "no host", ""},
		{"https:///x", "no host", ""},
		{"m.example:99999", "99999", ""},
		{"m_ example", "", ""},
		{"oci://m.example/x", `the scheme "oci"`, "use https://m.example/x"},
		{"docker.io=https://m.example/#s3cret", "fragment", "leave out"},
		{"https://m.example/x?a=s3cret", "query", "leave out"},
		{"https://user:s3cret@m.example:5000/x", `"m.example:5000" has credentials`, "tare login m.example:5000"},
		{"user:s3cret=@m.example", `"m.example" has credentials`, "tare login m.example"},
		{"docker.io=user:s3/cret@m.example?x", `"m.example" has credentials`, "tare login m.example"},
	} {
		registry, h, err := ParseMirror(test.in)
		if err == nil || registry != "" || !reflect.DeepEqual(h, Host{}) {
			t.Errorf("%s: taken as %q, %+v", test.in, registry, h)
			continue
		}
		if text := err.Error(); !strings.Contains(text, test.want) || strings.Contains(text, "s3cret") {
			t.Errorf("%s: %v", test.in, err)
		}
		if hint := hintOf(err); !strings.Contains(hint, test.hint) || strings.Contains(hint, "s3cret") {
			t.Errorf("%s: hint %q", test.in, hint)
		}
	}
}

// checkHostURL says what a request to a host could trip over.
func checkHostURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return err
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("scheme")
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("not scheme, host and path alone")
	case strings.HasSuffix(address, "/"):
		return errors.New("a slash at the end")
	}
	_, err = http.NewRequest(http.MethodGet, address+"/x/manifests/y", nil)
	return err
}

func FuzzParseHosts(f *testing.F) {
	f.Add("server = \"https://r.example\"\n[host.\"http://m.example/x\"]\ncapabilities = [\"pull\"]\noverride_path = true\n")
	f.Add("[host.\"https://u:p@m.example\".header]\nx = [\"1\"]\n")
	f.Add("client = [[\"a\", \"\"]]\nca = \"x\"\nskip_verify = true\n[Host]\n")
	f.Add("host = \"x\"")
	f.Fuzz(func(t *testing.T, text string) {
		hosts, err := parseHosts("/dir", text)
		if err != nil {
			return
		}
		for _, h := range hosts.Mirrors {
			if err := checkHostURL(h.URL); err != nil {
				t.Errorf("%q: %v", h.URL, err)
			}
			if !h.Pull && !h.Resolve && !h.Push {
				t.Errorf("%q can do nothing", h.URL)
			}
		}
		if at := hosts.Server.URL; at != "" && checkHostURL(at) != nil {
			t.Errorf("%q: %v", at, checkHostURL(at))
		}
	})
}

func FuzzParseMirror(f *testing.F) {
	for _, seed := range []string{"m.example", "docker.io=https://m.example/x", "http://u:p@m/", "[::1]:5000", "a=b=c%2f", "localhost"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		registry, h, err := ParseMirror(s)
		if err != nil {
			return
		}
		if err := checkHostURL(h.URL); err != nil {
			t.Errorf("%q: %q: %v", s, h.URL, err)
		}
		if registry != "" && checkHost(registry) != nil {
			t.Errorf("%q: registry %q", s, registry)
		}
	})
}
