package registry

import (
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tareml/tare/internal/testregistry"
)

// TestNothingAboutTheHostLeaves holds all that a push and a pull say in headers
// against a list: a name that is new here has to be thought about first.
func TestNothingAboutTheHostLeaves(t *testing.T) {
	allowed := map[string]bool{
		"Accept": true, "Authorization": true, "Content-Length": true, "Content-Type": true, "Range": true, "User-Agent": true,
	}
	var mu sync.Mutex
	seen := map[string][]string{}
	record := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			mu.Lock()
			for name, values := range req.Header {
				seen[name] = append(seen[name], values...)
			}
			mu.Unlock()
			next.ServeHTTP(w, req)
		})
	}
	tokens := &tokenServer{}
	cutFirst := func(next http.Handler) http.Handler { // so that there is a request for a range
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodGet && req.Header.Get("Range") == "" {
				w = &cuttingWriter{ResponseWriter: w, left: 50_000}
			}
			next.ServeHTTP(w, req)
		})
	}
	host := testregistry.Memory(t, tokens.wrap, record, cutFirst).Host
	tokens.host = host
	client := newTestClient(t, Options{
		UserAgent:   "tare/v1.2.3",
		Credentials: StaticCredentials(host, testregistry.Username, testregistry.Password, DockerCredentials()),
	})
	p := peer{host, client}
	src := newMemory()
	desc, manifest := src.artifact(t, []byte("one"), randomBytes(200_000, 2))
	p.push(t, "m/x:v1", src, desc, manifest)
	repo := newTestRepository(t, client, host+"/m/x:v1")
	if err := repo.Pull(t.Context(), desc, manifest, newMemory(), TransferOptions{}); err != nil {
		t.Fatal(err)
	}
	for name := range seen {
		if !allowed[name] {
			t.Errorf("%s is sent: %q", name, slices.Compact(slices.Sorted(slices.Values(seen[name]))))
		}
	}
	if agents := slices.Compact(slices.Sorted(slices.Values(seen["User-Agent"]))); !slices.Equal(agents, []string{"tare/v1.2.3"}) {
		t.Errorf("User-Agent is %q", agents)
	}
	if len(seen["Range"]) == 0 || len(seen["Authorization"]) == 0 {
		t.Error("the pull was not cut, or not authorized: this shows too little")
	}
	name, _ := os.Hostname()
	for header, values := range seen {
		for _, value := range values {
			if header != "Authorization" && (strings.Contains(value, runtime.GOOS) || name != "" && strings.Contains(value, name)) {
				t.Errorf("%s says where it comes from: %q", header, value)
			}
		}
	}
}
