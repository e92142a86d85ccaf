package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
)

const (
	// defaultTokenLife is how long a token lasts whose service does not say. It
	// is what the token specification of distribution sets.
	defaultTokenLife = time.Minute

	// maxTokenLife is as long as a token is believed to last.
	maxTokenLife = 365 * 24 * time.Hour

	// renewAhead is the most by which a token is renewed before its end; for
	// those that last less it is a tenth of their life.
	renewAhead = 30 * time.Second

	// maxTokenAnswer is how much of a token service's answer is read.
	maxTokenAnswer = 128 << 10

	// clientID is who we are to a token service that exchanges tokens.
	clientID = "tare"
)

// fetchToken goes to the token service that c names.
func (a *authenticator) fetchToken(ctx context.Context, c challenge, cred auth.Credential) (grant, error) {
	realm, err := tokenService(ctx, c.realm)
	if err != nil {
		return grant{}, err
	}
	req, err := tokenRequest(ctx, realm, c, cred)
	if err != nil {
		return grant{}, err
	}
	client := *a.Client
	client.CheckRedirect = checkTokenRedirect
	resp, err := client.Do(req)
	if err != nil {
		return grant{}, ofTokenService(explain(ctx, err))
	}
	if err := refusal(resp); err != nil {
		return grant{}, ofTokenService(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer))
	if err != nil {
		return grant{}, ofTokenService(cut(ctx, err))
	}
	answer := parseTokenAnswer(data, resp.Header.Get("Date"))
	if !answer.usable() {
		return grant{}, ofTokenService(&problem{text: fmt.Sprintf("no token in the answer of %s", resp.Request.URL.Host)})
	}
	return answer.grant(a.now()), nil
}

// tokenService checks the address that a registry gives for its token service.
func tokenService(ctx context.Context, realm string) (*url.URL, error) {
	u, err := url.Parse(realm)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, &problem{
			text: fmt.Sprintf("the registry gives %q for the address of its token service", printable(withoutSecrets(realm))),
			kind: ErrDenied,
			hint: "that is for whoever runs the registry to put right",
		}
	case u.Scheme == "http" && secure(ctx):
		return nil, inTheClear(u)
	}
	u.User = nil
	return u, nil
}

// withoutSecrets is what may be shown of an address that cannot be read: neither a
// query nor what stands before the host.
func withoutSecrets(address string) string {
	address, _, _ = strings.Cut(address, "?")
	if i := strings.LastIndexByte(address, '@'); i >= 0 {
		return redacted + address[i:]
	}
	return address
}

// tokenRequest asks for a token in the name of cred, or of nobody if it is empty.
func tokenRequest(ctx context.Context, realm *url.URL, c challenge, cred auth.Credential) (*http.Request, error) {
	if cred.RefreshToken != "" {
		return exchangeRequest(ctx, realm, c, cred.RefreshToken)
	}
	query := realm.Query()
	if c.service != "" {
		query.Set("service", c.service)
	}
	for scope := range strings.FieldsSeq(c.scope) {
		query.Add("scope", scope)
	}
	if cred.Username != "" && !query.Has("account") {
		query.Set("account", cred.Username)
	}
	realm.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, realm.String(), nil)
	if err == nil && (cred.Username != "" || cred.Password != "") {
		req.SetBasicAuth(cred.Username, cred.Password)
	}
	return req, err
}

// exchangeRequest asks for a token in exchange for one that lasts longer.
func exchangeRequest(ctx context.Context, realm *url.URL, c challenge, token string) (*http.Request, error) {
	form := url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {token},
		"service":       {c.service},
		"client_id":     {clientID},
	}
	if c.scope != "" {
		form.Set("scope", c.scope)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, realm.String(), strings.NewReader(form.Encode()))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req, err
}

// checkTokenRedirect keeps a request for a token on TLS, and what is in its body
// where it was meant to go.
func checkTokenRedirect(req *http.Request, via []*http.Request) error {
	if from := via[len(via)-1].URL; from.Scheme == "https" && req.URL.Scheme != "https" {
		return inTheClear(req.URL)
	}
	if hasBody(req) && leftOrigin(req.URL, via) {
		return &problem{
			text: fmt.Sprintf("credentials would follow a redirect to %q", printable(req.URL.Host)),
			kind: ErrDenied,
			hint: "nothing was sent there; whoever runs the registry can name that address as its token service",
		}
	}
	return checkRedirect(req, via)
}

// ofTokenService says whose error it is. What the token service does not know is
// not something that the registry does not have: but for credentials and for
// what may pass, its status is its own.
func ofTokenService(err error) error {
	p, ok := err.(*problem)
	if !ok {
		return err
	}
	theirs := *p
	theirs.text = "token service: " + p.text
	if p.kind != ErrDenied && !passing(p) {
		theirs.kind, theirs.status = nil, 0
	}
	return &theirs
}

// tokenAnswer is what a token service said.
type tokenAnswer struct {
	Token       string          `json:"token"`
	AccessToken string          `json:"access_token"`
	ExpiresIn   json.RawMessage `json:"expires_in"`
	IssuedAt    string          `json:"issued_at"`

	date string // the header
}

// parseTokenAnswer leaves empty what it cannot read.
func parseTokenAnswer(data []byte, date string) tokenAnswer {
	a := tokenAnswer{date: date}
	_ = json.NewDecoder(bytes.NewReader(data)).Decode(&a)
	if a.Token == "" {
		a.Token = a.AccessToken
	}
	return a
}

// usable says whether there is a token that can stand in a header.
func (a tokenAnswer) usable() bool {
	return a.Token != "" && !strings.ContainsFunc(a.Token, func(r rune) bool { return r <= ' ' || r > '~' })
}

func (a tokenAnswer) grant(now time.Time) grant {
	left, life := a.life(now)
	return grant{header: "Bearer " + a.Token, renew: now.Add(left - min(life/10, renewAhead)), end: now.Add(left)}
}

// life is how long the token lasts from now on, and in all. How old a token is
// is told by the service's own clock, which may differ from ours; an age that
// would make the token expired is no age but a wrong clock.
func (a tokenAnswer) life(now time.Time) (left, life time.Duration) {
	life = defaultTokenLife
	if seconds, err := strconv.ParseFloat(strings.Trim(string(a.ExpiresIn), `"`), 64); err == nil && seconds > 0 {
		life = time.Duration(min(seconds, maxTokenLife.Seconds()) * float64(time.Second))
	}
	if date, err := http.ParseTime(a.date); err == nil {
		now = date
	}
	issued, err := time.Parse(time.RFC3339, a.IssuedAt)
	if age := now.Sub(issued); err == nil && age > 0 && age < life {
		return life - age, life
	}
	return life, life
}
