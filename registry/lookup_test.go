package registry

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/tareml/tare/internal/testregistry"
)

// storeFunc is a look-up that sees why it is made.
func storeFunc(find func(Lookup) Credential) auth.CredentialFunc {
	return func(ctx context.Context, _ string) (Credential, error) { return find(LookupOf(ctx)), nil }
}

// TestStoresAreToldWhy they are asked.
func TestStoresAreToldWhy(t *testing.T) {
	var told []Lookup
	right := userHeader
	w := world{"https://r.example": func(w http.ResponseWriter, req *http.Request) { wants(right, "Basic")(w, req) }}
	a := w.authenticator(Credential{})
	a.credential = storeFunc(func(l Lookup) Credential { told = append(told, l); return user() })
	attempt(t.Context(), a)
	right = "Basic other"
	attempt(t.Context(), a)
	w["https://r.example"] = wants("Bearer t", tokenChallenge)
	w["https://auth.example"] = func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"token":"t"}`) }
	a = w.authenticator(Credential{})
	a.credential = storeFunc(func(l Lookup) Credential { told = append(told, l); return user() })
	attempt(t.Context(), a, "repository:a:pull")
	attempt(t.Context(), a, "repository:a:pull,push")
	if want := []Lookup{{}, {Refused: true}, {}, {Push: true}}; !slices.Equal(told, want) {
		t.Errorf("%+v, want %+v", told, want)
	}
}

// TestMountAsksForOneToken that is good for both repositories. Where that is
// refused, a request about one of them works as before.
func TestMountAsksForOneToken(t *testing.T) {
	var asked []string
	refuse := ""
	w := world{
		"https://r.example": func(w http.ResponseWriter, req *http.Request) {
			if req.Header.Get("Authorization") == "" {
				w.Header().Set("WWW-Authenticate", tokenChallenge+`,scope="repository:a:pull,push"`)
				w.WriteHeader(http.StatusUnauthorized)
			}
		},
		"https://auth.example": func(w http.ResponseWriter, req *http.Request) {
			scopes := req.URL.Query()["scope"]
			asked = append(asked, strings.Join(scopes, " "))
			if slices.Contains(scopes, refuse) {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			io.WriteString(w, `{"token":"t","expires_in":3600}`)
		},
	}
	const target, source = "repository:a:pull,push", "repository:b:pull"
	a := w.authenticator(user())
	if code, err := attempt(t.Context(), a, target, source); code != http.StatusOK || err != nil {
		t.Fatal(code, err)
	}
	refuse, a = source, w.authenticator(user())
	for range 2 {
		if _, err := attempt(t.Context(), a, target, source); !hasStatus(err, http.StatusForbidden) {
			t.Errorf("refused: %v", err)
		}
		if code, err := attempt(t.Context(), a, target); code != http.StatusOK || err != nil {
			t.Errorf("after that: %d, %v", code, err)
		}
	}
	want := []string{target + " " + source, target + " " + source, target, target + " " + source}
	if !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
}

// TestWhoSeesTheCredentialsOfARegistry that is elsewhere: this machine does, and
// nobody else, mirrors least of all.
func TestWhoSeesTheCredentialsOfARegistry(t *testing.T) {
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		user, _, _ := req.BasicAuth()
		if seen = append(seen, user); user == "" {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	far := world{"https://cache.example": server.Config.Handler.ServeHTTP}
	near := server.Listener.Addr().String()
	for _, test := range []struct {
		name  string
		hosts Hosts
		known string // who has credentials
		want  []string
	}{
		{"here", Hosts{Server: Host{URL: server.URL + "/v2"}}, "r.example", []string{"", "user"}},
		{"its own", Hosts{Server: Host{URL: server.URL + "/v2"}}, near, []string{"", "user"}},
		{"another's", Hosts{Server: Host{URL: server.URL + "/v2"}}, "other.example", []string{""}},
		{"elsewhere", Hosts{Server: Host{URL: "https://cache.example/v2"}}, "r.example", []string{""}},
		{"elsewhere, its own", Hosts{Server: Host{URL: "https://cache.example/v2"}}, "cache.example", []string{"", "user"}},
	} {
		seen = nil
		client := newTestClient(t, Options{
			Credentials: StaticCredentials(test.known, "user", "s3cret", DockerCredentials()),
			Hosts:       func(string) (Hosts, error) { return test.hosts, nil },
		})
		if strings.HasPrefix(test.name, "elsewhere") {
			client.auth.Client.Transport = far
		}
		repo := newTestRepository(t, client, "r.example/x")
		ctx, err := repo.scoped(t.Context(), auth.ActionPull)
		if err != nil {
			t.Fatal(err)
		}
		req, err := repo.request(ctx, http.MethodGet, "blobs/x")
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := client.do(req); err == nil {
			discard(resp)
		} else if len(test.want) > 1 || hintOf(err) != "tare login r.example" {
			t.Errorf("%s: %v, hint %q", test.name, err, hintOf(err))
		}
		if !slices.Equal(seen, test.want) {
			t.Errorf("%s: saw %q, want %q", test.name, seen, test.want)
		}
	}
	if name := standIn(endpoint{host: near, ns: "r.example", mirror: true}.context(t.Context(), "x"), near); name != "" {
		t.Errorf("a mirror is shown the credentials of %s", name)
	}
}

// TestLoginAtAnotherAddress saves what later requests look for.
func TestLoginAtAnotherAddress(t *testing.T) {
	reg := testregistry.Debian(t, testregistry.WithAuth())
	client := newTestClient(t, Options{Hosts: func(name string) (Hosts, error) {
		if name == "r.example" {
			return Hosts{Server: Host{URL: "http://" + reg.Host + "/v2"}}, nil
		}
		return Hosts{}, nil
	}})
	saved, err := client.Login(t.Context(), "r.example", testregistry.Username, testregistry.Password)
	if err != nil || saved.Server != reg.Host || saved.Unasked {
		t.Fatalf("%+v, %v", saved, err)
	}
	src := newMemory()
	desc, manifest := src.artifact(t, []byte("one"))
	repo := newTestRepository(t, client, "r.example/m/x:v1")
	if err := repo.Push(t.Context(), desc, manifest, src, TransferOptions{}); err != nil {
		t.Error(err)
	}
	if err := client.Logout(t.Context(), "r.example"); err != nil {
		t.Error(err)
	}
	if cred, err := client.store.Get(t.Context(), reg.Host); err != nil || cred != (Credential{}) {
		t.Errorf("still there: %v, %v", cred.Username, err)
	}
}

func TestLoginWhereNobodyAsks(t *testing.T) {
	client := newTestClient(t, Options{})
	if saved, err := client.Login(t.Context(), testregistry.Memory(t).Host, "user", "any"); err != nil || !saved.Unasked {
		t.Errorf("%+v, %v", saved, err)
	}
}

func TestCheck(t *testing.T) {
	host := testregistry.Debian(t, testregistry.WithAuth()).Host
	for password, ok := range map[string]bool{testregistry.Password: true, "wrong": false} {
		client := newTestClient(t, Options{Credentials: StaticCredentials(host, testregistry.Username, password, DockerCredentials())})
		if err := client.Check(t.Context(), host); (err == nil) != ok {
			t.Errorf("%s: %v", password, err)
		}
	}
}

// advisor knows one thing.
type advisor struct {
	dockerStore
	got *[]Refusal
}

func (a advisor) Advise(registry string, r Refusal) string {
	r.Message = registry
	*a.got = append(*a.got, r)
	return "do this"
}

func TestAdvice(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}`)
	}))
	defer server.Close()
	var got []Refusal
	store := StaticCredentials("x.example", "u", "p", authFileStore{advisor{got: &got}, writeFile(t, "{}")})
	client := newTestClient(t, Options{Credentials: store, Hosts: func(string) (Hosts, error) {
		return Hosts{Server: Host{URL: server.URL + "/v2"}}, nil
	}})
	repo := newTestRepository(t, client, "r.example/team/x")
	ctx, _ := repo.scoped(t.Context(), auth.ActionPush)
	req, _ := repo.request(ctx, http.MethodPost, "blobs/uploads/")
	_, err := client.do(req)
	want := []Refusal{{Status: 404, Code: "NAME_UNKNOWN", Message: "r.example", Repository: "team/x", Writing: true}}
	if hintOf(err) != "do this" || !slices.Equal(got, want) {
		t.Errorf("%v, hint %q, asked about %+v", err, hintOf(err), got)
	}
}

// TestRobotWithoutItsName is what a shell makes of "robot$ci+x".
func TestRobotWithoutItsName(t *testing.T) {
	host := testregistry.Debian(t, testregistry.WithAuth()).Host
	for username, want := range map[string]bool{"robot": true, "robot+x": true, "robot$ci+x": false, "robota": false} {
		_, err := newTestClient(t, Options{}).Login(t.Context(), host, username, "wrong")
		if strings.Contains(hintOf(err), "single quotes") != want {
			t.Errorf("%s: %v, hint %q", username, err, hintOf(err))
		}
	}
}

func TestCloudServicesNeedNoProxy(t *testing.T) {
	transport := &http.Transport{}
	if err := (Options{Proxy: "http://proxy.example:3128"}).Share(transport); err != nil {
		t.Fatal(err)
	}
	for address, direct := range map[string]bool{
		"https://api.ecr.us-west-2.amazonaws.com": false,
		"http://169.254.169.254/latest":           true,
		"http://[fd00:ec2::254]/latest":           true,
		"http://127.0.0.1:1/":                     true,
		"http://10.0.0.1/":                        false,
	} {
		u, _ := url.Parse(address)
		proxy, err := transport.Proxy(&http.Request{URL: u})
		if err != nil || (proxy == nil) != direct {
			t.Errorf("%s: %v, %v", address, proxy, err)
		}
	}
}
