package registry

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCredentialsStayWithTheirOrigin(t *testing.T) {
	for _, test := range []struct {
		via  string // origins, the first one first
		to   string
		kept bool
	}{
		{"https://r.example", "https://r.example/b", true},
		{"https://r.example", "https://R.example:443/b", true},
		{"https://r.example", "http://r.example/b", false},
		{"https://r.example", "https://r.example:8443/b", false},
		{"https://r.example", "https://s3.r.example/b", false},
		{"https://r.example", "https://example/b", false},
		{"https://r.example https://evil.example", "https://r.example/b", false},
		{"http://127.0.0.1:1", "http://127.0.0.1:2/b", false},
	} {
		var via []*http.Request
		for address := range strings.SplitSeq(test.via, " ") {
			req, _ := http.NewRequest(http.MethodGet, address, nil)
			via = append(via, req)
		}
		req, _ := http.NewRequest(http.MethodGet, test.to, nil)
		req.Header = http.Header{"Authorization": {"Bearer x"}, "Cookie": {"a=b"}, "Referer": {"https://r.example?sig=x"}, "Range": {"bytes=1-2"}}
		if err := checkRedirect(req, via); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"Authorization", "Cookie"} {
			if kept := req.Header.Get(name) != ""; kept != test.kept {
				t.Errorf("%s to %s: %s kept %v", test.via, test.to, name, kept)
			}
		}
		if req.Header.Get("Referer") != "" || req.Header.Get("Range") == "" {
			t.Errorf("%s to %s: header %v", test.via, test.to, req.Header)
		}
	}
}

// TestRedirectToAnotherPort is the case that net/http has no rule against.
func TestRedirectToAnotherPort(t *testing.T) {
	target := &elsewhere{next: status(http.StatusOK)}
	there := httptest.NewServer(target)
	defer there.Close()
	here := httptest.NewServer(http.RedirectHandler(there.URL, http.StatusTemporaryRedirect))
	defer here.Close()
	client := newTestClient(t, Options{})
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, here.URL+"?signature=x", nil)
	req.Header.Set("Authorization", "Bearer s3cret")
	req.Header.Set("Cookie", "a=s3cret")
	resp, err := client.auth.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	discard(resp)
	if len(target.headers) != 1 || target.authorized() || target.headers[0].Get("Cookie") != "" || target.headers[0].Get("Referer") != "" {
		t.Errorf("the target has seen %v", target.headers)
	}
}

func TestRedirectsEnd(t *testing.T) {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		requests++
		http.Redirect(w, req, "/again", http.StatusFound)
	}))
	defer server.Close()
	if err := visit(t, newTestClient(t, Options{}), server.URL); err == nil || requests != maxRedirects {
		t.Errorf("%v after %d requests", err, requests)
	}
}
