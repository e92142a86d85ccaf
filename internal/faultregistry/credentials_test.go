package faultregistry_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	f "github.com/tareml/tare/internal/faultregistry"
)

func TestTokens(t *testing.T) {
	reg, art, data := fill(t, f.WithTokens(time.Minute))
	client := newClient(t, nil)
	url := blobURL(reg, art, 0)
	first := get(t, client, url)
	challenge := first.header.Get("Www-Authenticate")
	if first.status != 401 || !strings.Contains(challenge, `scope="repository:models/x:pull"`) {
		t.Fatalf("%d %q", first.status, challenge)
	}
	token := login(t, client, challenge)
	if got := get(t, client, url, "Authorization", token); !bytes.Equal(got.body, data) {
		t.Errorf("with a token: %d", got.status)
	}
	if got := get(t, client, reg.URL+"/v2/models/y/manifests/v1", "Authorization", token); got.status != 401 {
		t.Errorf("a token for another repository: %d", got.status)
	}
	if got := get(t, client, reg.URL+"/v2/", "Authorization", token); got.status != 200 {
		t.Errorf("ping: %d", got.status)
	}
	if got := get(t, client, reg.URL+"/token?scope=x", "Authorization", "Basic eDp5"); got.status != 401 {
		t.Errorf("a token for nobody: %d", got.status)
	}
	reg.Advance(time.Minute)
	if got := get(t, client, url, "Authorization", token); got.status != 401 {
		t.Errorf("an old token: %d", got.status)
	}
	token = login(t, client, challenge)
	reg.Revoke()
	if got := get(t, client, url, "Authorization", token); got.status != 401 || reg.Tokens() != 2 {
		t.Errorf("a revoked token: %d; %d tokens given", got.status, reg.Tokens())
	}
}

// TestTurnedAwayDoesNotCount is about a client that comes without a token first.
func TestTurnedAwayDoesNotCount(t *testing.T) {
	reg, art, _ := fill(t, f.WithTokens(time.Minute))
	reg.Script(f.Blob, f.Cut(10).Do(reg.Revoke), f.Unauthorized().After(1))
	client := newClient(t, nil)
	url := blobURL(reg, art, 0)
	token := login(t, client, get(t, client, url).header.Get("Www-Authenticate"))
	if got := get(t, client, url, "Authorization", token); got.err == nil || len(got.body) != 10 {
		t.Errorf("%d, %d bytes", got.status, len(got.body))
	}
	got := get(t, client, url, "Authorization", token)
	if got.status != 401 {
		t.Fatalf("after the revocation: %d", got.status)
	}
	token = login(t, client, got.header.Get("Www-Authenticate"))
	for _, want := range []int{401, 200} {
		if got := get(t, client, url, "Authorization", token); got.status != want {
			t.Errorf("%d, want %d", got.status, want)
		}
	}
}

func TestBasic(t *testing.T) {
	reg, art, _ := fill(t, f.WithBasic())
	client := newClient(t, nil)
	req := newRequest(t.Context(), t, "GET", blobURL(reg, art, 0))
	if got := do(client, req); got.status != 401 {
		t.Errorf("nobody: %d", got.status)
	}
	req.SetBasicAuth(f.Username, f.Password)
	if got := do(client, req); got.status != 200 {
		t.Errorf("the user: %d", got.status)
	}
}

func TestRedirect(t *testing.T) {
	reg, art, data := fill(t, f.WithRedirect(2))
	client := newClient(t, nil)
	sign := func() string {
		got := get(t, client, blobURL(reg, art, 0))
		if got.status != 307 {
			t.Fatalf("%d", got.status)
		}
		return got.header.Get("Location")
	}
	target := sign()
	if strings.HasPrefix(target, reg.URL) || !strings.Contains(target, "?X-Signature=") {
		t.Errorf("it leads to %s", target)
	}
	for _, want := range []int{206, 206, 403} {
		got := get(t, client, target, "Range", "bytes=5-9")
		if got.status != want || want == 206 && !bytes.Equal(got.body, data[5:10]) {
			t.Errorf("%d, want %d", got.status, want)
		}
		if want == 403 && !bytes.Contains(got.body, []byte("<Code>AccessDenied</Code>")) {
			t.Errorf("%s", got.body)
		}
	}
	for name, expire := range map[string]func(){
		"expired": reg.Expire, "old": func() { reg.Advance(time.Hour) },
	} {
		target = sign()
		expire()
		if got := get(t, client, target); got.status != 403 {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	if reg.Sent() != 10 || len(reg.Leaked()) != 0 {
		t.Errorf("%d bytes sent, leaked: %q", reg.Sent(), reg.Leaked())
	}
	if seen := reg.RequestsOf(f.Target); seen[4].Digest != art.Layers[0].Digest || seen[4].Status != 403 {
		t.Errorf("%+v", seen[4])
	}
}

func TestLeaks(t *testing.T) {
	reg, art, _ := fill(t, f.WithRedirect(0))
	reg.Script(f.Target, f.Cut(9).After(1))
	client := newClient(t, nil)
	target := get(t, client, blobURL(reg, art, 0)).header.Get("Location")
	if got := get(t, client, target, "Authorization", "Bearer x"); got.status != 400 {
		t.Errorf("with credentials: %d", got.status)
	}
	if got := get(t, client, target, "Cookie", "a=b"); got.status != 200 {
		t.Errorf("with a cookie: %d", got.status)
	}
	if got := get(t, client, target); len(got.body) != 9 {
		t.Errorf("what is scripted for the bucket: %d bytes", len(got.body))
	}
	if leaked := reg.Leaked(); len(leaked) != 2 || !strings.HasPrefix(leaked[0], "Authorization in GET /blobs/sha256/") {
		t.Errorf("%q", leaked)
	}
}

func TestCheck(t *testing.T) {
	f.Check(t)
	reg, art, _ := fill(t)
	reg.Script(f.Blob, f.Hang(0))
	start(t.Context(), t, newClient(t, nil), blobURL(reg, art, 0))
}
