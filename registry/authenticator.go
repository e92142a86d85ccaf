package registry

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// maxSends is how often a request goes out: with what is known to work, with
// what another request has got in the meantime, with what is new.
const maxSends = 3

// errAdmitted says that a request with a body was refused for want of credentials,
// which are there by now. Whoever sent it has to find out what became of the body.
var errAdmitted = errors.New("there are new credentials")

// authenticator sends requests with what their registry demands: a password, or
// a token from its token service. It remembers both, and renews tokens before
// they expire. Token services may be anywhere, private networks included.
type authenticator struct {
	Client     *http.Client // sends requests as they are
	credential auth.CredentialFunc
	now        func() time.Time

	mu      sync.Mutex
	demands map[asker]demand
	grants  map[demand]grant
	fetches map[demand]*fetch
}

// asker is what is known of a request before it is sent. A password is kept for
// the one without scopes: it is good for all that is done in the repository.
type asker struct {
	registry   string // scheme://host
	standIn    string // the registry that host stands in for, or ""
	repository string // that credentials are looked up for, since each may have its own, or ""
	scopes     string
}

// demand is what a registry wants to see from an asker.
type demand struct {
	registry, standIn, repository string
	challenge
}

// grant is what satisfies a demand.
type grant struct {
	header     string    // Authorization
	renew, end time.Time // zero if it does not end
}

func (g grant) good(now time.Time) bool {
	return g.header != "" && (g.end.IsZero() || now.Before(g.renew))
}

// fetch is a grant in the making. Its fields may be read once done is closed.
type fetch struct {
	done      chan struct{}
	grant     grant
	err       error
	abandoned bool // by who began it, so that err is nobody else's
}

func newAuthenticator(client *http.Client, credential auth.CredentialFunc) *authenticator {
	return &authenticator{
		Client: client, credential: credential, now: time.Now,
		demands: map[asker]demand{}, grants: map[demand]grant{}, fetches: map[demand]*fetch{},
	}
}

// Do sends req, and again if the registry asks for credentials. A registry that
// refuses new ones has its refusal returned. Whoever it redirects to gets none
// and is not listened to.
func (a *authenticator) Do(req *http.Request) (*http.Response, error) {
	req = req.Clone(withScheme(req.Context(), req.URL.Scheme))
	ctx, who := req.Context(), askerOf(req)
	header, last := a.known(ctx, who), false
	for sends := 1; ; sends++ {
		if header != "" {
			req.Header.Set("Authorization", header)
		}
		resp, err := a.Client.Do(req)
		if err != nil || last || sends == maxSends {
			return resp, err
		}
		c, ok := challenged(req, resp)
		if !ok {
			return resp, nil
		}
		discard(resp)
		if hasBody(req) && req.GetBody == nil {
			return nil, &problem{text: "the registry asked for credentials when it had the body, which cannot be sent again", kind: ErrDenied}
		}
		if header, last, err = a.answer(ctx, who, c, header); err != nil {
			return nil, err
		}
		if isOnce(ctx) && hasBody(req) {
			return nil, &problem{text: "the registry refused the credentials in the middle of an upload", kind: ErrDenied, cause: errAdmitted, status: resp.StatusCode}
		}
		if req, err = rewind(req); err != nil {
			return nil, err
		}
	}
}

func askerOf(req *http.Request) asker {
	return asker{
		registry:   req.URL.Scheme + "://" + req.URL.Host,
		standIn:    standIn(req.Context(), req.URL.Host),
		repository: repositoryAsked(req.Context(), req.URL.Host),
		scopes:     strings.Join(auth.GetAllScopesForHost(req.Context(), req.URL.Host), " "),
	}
}

// challenged is what the registry wants to see, if resp says so and is its own.
func challenged(req *http.Request, resp *http.Response) (challenge, bool) {
	if resp.StatusCode != http.StatusUnauthorized || canonical(resp.Request.URL) != canonical(req.URL) {
		return challenge{}, false
	}
	return demanded(resp.Header)
}

// known is the header that worked for who, empty if there is none. One that is
// about to expire is renewed. If nobody can be reached for that it is used to its
// end.
func (a *authenticator) known(ctx context.Context, who asker) string {
	d, held := a.recall(who)
	if held.header == "" || held.good(a.now()) {
		return held.header
	}
	renewed, _, err := a.obtain(ctx, d, "")
	if err != nil && passing(err) {
		return a.postpone(d, held)
	}
	return renewed.header
}

func (a *authenticator) recall(who asker) (demand, grant) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d, ok := a.demands[who]
	if !ok {
		who.scopes = ""
		d = a.demands[who]
	}
	return d, a.grants[d]
}

// postpone has a grant renewed in half of the time that it is still good for.
func (a *authenticator) postpone(d demand, held grant) (header string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	left := held.end.Sub(a.now())
	if left <= 0 {
		return ""
	}
	if a.grants[d] == held {
		held.renew = held.end.Add(-left / 2)
		a.grants[d] = held
	}
	return held.header
}

// answer is the header that c asks for, other than the refused one if there is
// another, and whether it is new.
func (a *authenticator) answer(ctx context.Context, who asker, c challenge, refused string) (header string, fresh bool, err error) {
	d := demand{who.registry, who.standIn, who.repository, c.widened(who.scopes)}
	a.remember(who, d)
	g, fresh, err := a.obtain(ctx, d, refused)
	return g.header, fresh, err
}

// remember keeps what to send the next time. A request that does not say what it
// is about is not given a token for something else.
func (a *authenticator) remember(who asker, d demand) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.demands, who)
	if d.scheme == basic {
		who.scopes = ""
	}
	if d.scheme == basic || who.scopes != "" {
		a.demands[who] = d
	}
}

// obtain returns the grant for d unless it was refused or has to be renewed: then
// it fetches a new one, or waits for somebody who does that already.
func (a *authenticator) obtain(ctx context.Context, d demand, refused string) (g grant, fresh bool, err error) {
	for {
		held, f, first := a.join(d, refused)
		if f == nil {
			return held, false, nil
		}
		if first {
			f.grant, f.err = a.fetch(WithLookup(ctx, Lookup{Push: pushes(d.scope), Refused: refused != ""}), d)
			f.abandoned = f.err != nil && ctx.Err() != nil
			a.settle(d, f)
			return f.grant, true, f.err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return grant{}, false, ctx.Err()
		}
		if !f.abandoned {
			return f.grant, true, f.err
		}
	}
}

// join returns a good grant, or else the fetch of a new one and whether the
// caller has to do it.
func (a *authenticator) join(d demand, refused string) (held grant, f *fetch, first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	held = a.grants[d]
	if held.header == refused {
		delete(a.grants, d)
	} else if held.good(a.now()) {
		return held, nil, false
	}
	f, running := a.fetches[d]
	if !running {
		f = &fetch{done: make(chan struct{})}
		a.fetches[d] = f
	}
	return grant{}, f, !running
}

func (a *authenticator) settle(d demand, f *fetch) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.fetches, d)
	if f.err == nil {
		a.grants[d] = f.grant
	}
	close(f.done)
}

// fetch looks up the credentials for d, and goes to the token service with them
// if there is one.
func (a *authenticator) fetch(ctx context.Context, d demand) (grant, error) {
	_, host, _ := strings.Cut(d.registry, "://")
	cred, err := a.credential(ctx, host)
	switch {
	case err != nil:
		return grant{}, err
	case d.scheme == basic:
		return password(cred, a.now())
	case cred.AccessToken != "":
		return grant{header: "Bearer " + cred.AccessToken}, nil
	}
	return a.fetchToken(ctx, d.challenge, cred)
}

// pushes says whether a token with this scope is for changing something.
func pushes(scope string) bool {
	for s := range strings.FieldsSeq(scope) {
		actions := s[strings.LastIndexByte(s, ':')+1:]
		if slices.Contains(strings.Split(actions, ","), auth.ActionPush) {
			return true
		}
	}
	return false
}

// passwordAhead is the most by which a password that ends is looked up again
// before its end.
const passwordAhead = 15 * time.Minute

// password is a grant that ends only if the password says so.
func password(cred Credential, now time.Time) (grant, error) {
	if cred.Username == "" && cred.Password == "" {
		return grant{}, &problem{text: "the registry asks for credentials", kind: ErrDenied, status: http.StatusUnauthorized}
	}
	req := http.Request{Header: http.Header{}}
	req.SetBasicAuth(cred.Username, cred.Password)
	g := grant{header: req.Header.Get("Authorization")}
	if end, ok := PasswordEnd(cred.Password); ok && end.After(now) {
		g.end, g.renew = end, end.Add(-min(end.Sub(now)/10, passwordAhead))
	}
	return g, nil
}
