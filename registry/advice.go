package registry

import (
	"fmt"
	"net/http"
	"strings"
)

// Refusal is what a registry said no with.
type Refusal struct {
	Status     int
	Code       string // of the distribution spec, if there was one
	Message    string
	Repository string // that it was about, empty if that is not known
	Writing    bool   // whether something was to be changed
	Anonymous  bool   // whether there were no credentials
}

// Adviser is a [CredentialStore] that knows what to do about refusals of some
// registries, and says "" about those of others.
type Adviser interface {
	Advise(registry string, r Refusal) string
}

// advise asks store if it is an [Adviser].
func advise(store CredentialStore, registry string, r Refusal) string {
	if a, ok := store.(Adviser); ok {
		return a.Advise(registry, r)
	}
	return ""
}

// advised adds to the error that came of req what to do about it. A refusal by a
// host that the registry redirected to is none of the registry's.
func (c *Client) advised(req *http.Request, resp *http.Response, err error) error {
	p, ok := err.(*problem)
	if !ok || (resp != nil && resp.Request.URL.Host != req.URL.Host) {
		return err
	}
	hint := c.hint(req, p)
	if hint == "" {
		return err
	}
	advised := *p // others may have been given the same error
	advised.hint = hint
	return &advised
}

func (c *Client) hint(req *http.Request, p *problem) string {
	denied, name := p.kind == ErrDenied, subjectAt(req.Context(), req.URL.Host)
	var cred Credential
	if denied {
		var err error
		if cred, err = c.auth.credential(req.Context(), req.URL.Host); err != nil {
			return ""
		}
	}
	r := Refusal{
		Status: p.status, Code: p.code, Message: p.text,
		Repository: repositoryOf(req.URL.Path),
		Writing:    writes(req.Method),
		Anonymous:  denied && cred == Credential{},
	}
	wrong := denied && p.status == http.StatusUnauthorized && !r.Anonymous
	if hint := robotHint(cred.Username, ""); hint != "" && wrong {
		return hint
	}
	if hint := advise(c.store, name, r); hint != "" && p.status != 0 {
		return hint
	}
	switch {
	case !denied || p.hint != "":
		return ""
	case r.Anonymous:
		return "tare login " + name
	case wrong:
		return fmt.Sprintf("the credentials for %[1]s were refused: tare login %[1]s", name)
	}
	return ""
}

// repositoryOf is the repository in the path of a request, or "".
func repositoryOf(path string) string {
	_, rest, _ := strings.Cut(path, "/v2/")
	for _, kind := range []string{"/blobs/", "/manifests/"} {
		if i := strings.LastIndex(rest, kind); i >= 0 {
			return rest[:i]
		}
	}
	return ""
}

// robotHint is for names of Harbor's robots out of which a shell has taken what
// stands behind the $, else hint.
func robotHint(username, hint string) string {
	if username == "robot" || strings.HasPrefix(username, "robot+") {
		return "the name of a robot account has a $ in it: write 'robot$NAME', in single quotes"
	}
	return hint
}
