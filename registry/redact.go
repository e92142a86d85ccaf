package registry

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
)

const (
	// minSecret is the shortest text that is blanked out: anything shorter is no
	// secret, but part of many a word.
	minSecret = 4

	// maxSecrets is how many are remembered. Tokens come and go.
	maxSecrets = 64

	// redacted stands where a secret was.
	redacted = "…"
)

// redactor knows the secrets that were sent, and blanks them out of text that
// comes from servers: some quote what they do not like. A nil one knows none.
type redactor struct {
	mu       sync.Mutex
	secrets  []string // the oldest first
	replacer *strings.Replacer
}

// text is s without secrets.
func (r *redactor) text(s string) string {
	if r == nil {
		return s
	}
	r.mu.Lock()
	replacer := r.replacer
	r.mu.Unlock()
	if replacer == nil {
		return s
	}
	return replacer.Replace(s)
}

// purged is err without secrets, if it is a problem: one may quote what a server
// said elsewhere than in a refusal, such as where to go on.
func (r *redactor) purged(err error) error {
	p, ok := err.(*problem)
	if !ok {
		return err
	}
	clean := *p // others may have been given the same error
	clean.text, clean.hint = r.text(p.text), r.text(p.hint)
	return &clean
}

// learn remembers a secret.
func (r *redactor) learn(secret string) {
	if len(secret) < minSecret {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.secrets, secret) {
		return
	}
	r.secrets = append(r.secrets, secret)
	if len(r.secrets) > maxSecrets {
		r.secrets = slices.Delete(r.secrets, 0, 1)
	}
	r.replacer = newReplacer(r.secrets)
}

// newReplacer blanks out secrets in each of their spellings, the longer ones
// first: one may be part of another.
func newReplacer(secrets []string) *strings.Replacer {
	var all []string
	for _, secret := range secrets {
		all = append(all, spelt(secret)...)
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs []string
	for _, text := range slices.Compact(all) {
		pairs = append(pairs, text, redacted)
	}
	return strings.NewReplacer(pairs...)
}

// spelt is how a secret looks in text, in JSON, in a query and in base64.
func spelt(secret string) []string {
	quoted, _ := json.Marshal(secret)
	return []string{
		secret,
		strings.Trim(string(quoted), `"`),
		url.QueryEscape(secret),
		url.PathEscape(secret),
		base64.RawStdEncoding.EncodeToString([]byte(secret)),
		base64.RawURLEncoding.EncodeToString([]byte(secret)),
	}
}

// learnFrom remembers the secrets in a request.
func (r *redactor) learnFrom(req *http.Request) {
	scheme, value, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	r.learn(value)
	if strings.EqualFold(scheme, basic) {
		if user, password, ok := req.BasicAuth(); ok {
			r.learn(password)
			r.learn(user + ":" + password)
		}
	}
	if req.GetBody == nil || req.Header.Get("Content-Type") != formType {
		return
	}
	if body, err := req.GetBody(); err == nil {
		defer body.Close()
		data, _ := io.ReadAll(io.LimitReader(body, maxTokenAnswer))
		form, _ := url.ParseQuery(string(data))
		r.learn(form.Get("refresh_token"))
		r.learn(form.Get("password"))
	}
}

// formType is the Content-Type of what is exchanged for a token.
const formType = "application/x-www-form-urlencoded"

// addressed is text without the values in the query of u, but for those that
// everybody knows: an address may be a secret of its own.
func addressed(u *url.URL, text string) string {
	for name, values := range u.Query() {
		if slices.Contains([]string{"account", "digest", "from", "mount", "ns", "scope", "service"}, name) {
			continue
		}
		for _, value := range values {
			if len(value) >= 2*minSecret {
				text = newReplacer([]string{value}).Replace(text)
			}
		}
	}
	return text
}

// scrubber has nobody see a secret in what servers answer: it remembers what is
// sent, and blanks it out of refusals and errors.
type scrubber struct {
	secrets *redactor
	next    http.RoundTripper
}

func (t *scrubber) RoundTrip(req *http.Request) (*http.Response, error) {
	t.secrets.learnFrom(req)
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, t.scrubbed(req, err)
	}
	t.purgeDigest(resp.Header)
	if resp.StatusCode >= 400 {
		resp.Body = &scrubbedBody{ReadCloser: resp.Body, scrub: func(s string) string { return addressed(req.URL, t.secrets.text(s)) }}
	}
	return resp, nil
}

// purgeDigest blanks secrets out of a digest that is none: it is good for nothing
// but to be quoted.
func (t *scrubber) purgeDigest(header http.Header) {
	const name = "Docker-Content-Digest"
	if said := header.Get(name); said != "" && digest.Digest(said).Validate() != nil {
		header.Set(name, t.secrets.text(said))
	}
}

func (t *scrubber) CloseIdleConnections() { closeIdle(t.next) }

// scrubbed is err as it was, unless its text has a secret in it.
func (t *scrubber) scrubbed(req *http.Request, err error) error {
	text := addressed(req.URL, t.secrets.text(err.Error()))
	if text == err.Error() {
		return err
	}
	return &scrubbedError{err, text}
}

// scrubbedError is an error in other words.
type scrubbedError struct {
	error
	text string
}

func (e *scrubbedError) Error() string { return e.text }
func (e *scrubbedError) Unwrap() error { return e.error }

// scrubbedBody is the beginning of a refusal, without secrets.
type scrubbedBody struct {
	io.ReadCloser
	scrub func(string) string
	text  io.Reader // nil before the first read
	err   error     // that comes after the text
}

func (b *scrubbedBody) Read(p []byte) (int, error) {
	if b.text == nil {
		data, err := io.ReadAll(io.LimitReader(b.ReadCloser, maxErrorBody))
		b.text, b.err = bytes.NewReader([]byte(b.scrub(string(data)))), err
	}
	n, err := b.text.Read(p)
	if err == io.EOF && b.err != nil {
		err = b.err
	}
	return n, err
}
