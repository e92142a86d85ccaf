package registry

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/tareml/tare/blob"
)

const (
	// maxErrorBody is how much of a refusal is read.
	maxErrorBody = 16 << 10
	// maxErrorText is how much of it is shown.
	maxErrorText = 300
)

// do sends req with the credentials of its host. Anything but success is an
// error, and the body is closed.
func (c *Client) do(req *http.Request) (*http.Response, error) {
	resp, err := c.auth.Do(req)
	if err == nil {
		err = refusal(resp)
	} else {
		err = explain(req.Context(), err)
	}
	if err != nil {
		return nil, c.advised(req, resp, c.secrets.purged(err))
	}
	return resp, nil
}

// refusal is nil for a success. Otherwise it reads and closes the body.
func refusal(resp *http.Response) error {
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	defer discard(resp)
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	code, message := parseErrorBody(body)
	p := newResponseProblem(resp.StatusCode, code, message)
	p.hint = refusalHint(resp, p, body)
	if host := resp.Request.URL.Host; p.kind == ErrDenied && answeredElsewhere(resp.Request) {
		p.text = host + " says: " + p.text
	}
	if wait := parseRetryAfter(resp.Header.Get("Retry-After"), time.Now()); wait > maxRetryAfter {
		p.hint = fmt.Sprintf("the registry asks to come back in %s", wait.Round(time.Minute))
		p.final = true
	}
	return p
}

// answeredElsewhere says that a request about some registry went to another host: where
// that redirected to, or to its token service.
func answeredElsewhere(req *http.Request) bool {
	s, ok := req.Context().Value(subjectKey{}).(subject)
	return ok && !strings.EqualFold(s.host, req.URL.Host)
}

// refusalHint is what to do about a refusal, where the answer tells.
func refusalHint(resp *http.Response, p *problem, body []byte) string {
	method, said := resp.Request.Method, strings.ToLower(p.text)
	switch status := resp.StatusCode; {
	case status == http.StatusBadRequest && strings.Contains(string(body), "HTTPS"):
		return "the registry speaks TLS: leave out --plain-http"
	case status == http.StatusRequestEntityTooLarge:
		return "the registry, or a proxy in front of it, limits the size of a request"
	case status == http.StatusNotFound && !writes(method) && strings.Contains(resp.Request.URL.Path, "/manifests/"):
		return "the registry has no such repository or tag, or does not show it to you"
	case p.code == "NAME_UNKNOWN" && method == http.MethodPost:
		return "this registry may want the repository to be created first"
	case method == http.MethodPut && (strings.Contains(said, "immutable") || strings.Contains(said, "imagetagalreadyexists")):
		return "the registry does not let this tag be moved: push under another tag"
	case status == http.StatusMethodNotAllowed && writes(method):
		return "the registry may be read-only, such as a mirror or one in maintenance: is it the one to push to?"
	case status == http.StatusInternalServerError, status == http.StatusInsufficientStorage:
		return "the log of the registry says more; its disk may be full"
	}
	return ""
}

// writes says whether a request of this method is to change something.
func writes(method string) bool { return method != http.MethodGet && method != http.MethodHead }

// newResponseProblem puts the answer of a registry into words. Those of a server
// in trouble say little: the status goes with them.
func newResponseProblem(status int, code, message string) *problem {
	text := printable(message)
	name := printable(strings.ReplaceAll(strings.ToLower(code), "_", " "))
	switch {
	case text == "":
		text = name
	case name != "" && !strings.HasPrefix(strings.ToLower(text), name):
		text = name + ": " + text
	}
	switch {
	case text == "":
		text = strings.ToLower(strings.TrimSpace(fmt.Sprintf("status %d %s", status, http.StatusText(status))))
	case status >= 500 || code == "UNKNOWN":
		text = fmt.Sprintf("status %d: %s", status, text)
	}
	return &problem{text: text, kind: kindOf(status, code), status: status, code: code}
}

func kindOf(status int, code string) error {
	switch {
	case code == "DIGEST_INVALID":
		return blob.ErrMismatch
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return ErrDenied
	case status == http.StatusNotFound:
		return blob.ErrNotFound
	case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500:
		return ErrUnavailable
	}
	return nil
}

// maxErrorDetail is how long a detail may be to be shown.
const maxErrorDetail = 120

// parseErrorBody reads the first error of the form that the distribution spec
// gives, if body has that form. A detail that is a short text goes with the
// message; others are for programs.
func parseErrorBody(body []byte) (code, message string) {
	var list struct {
		Errors []struct {
			Code    string          `json:"code"`
			Message string          `json:"message"`
			Detail  json.RawMessage `json:"detail"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &list) != nil || len(list.Errors) == 0 {
		return "", ""
	}
	first, detail := list.Errors[0], ""
	if json.Unmarshal(first.Detail, &detail) == nil && len(detail) <= maxErrorDetail && !strings.Contains(first.Message, detail) {
		return first.Code, strings.TrimPrefix(first.Message+": "+detail, ": ")
	}
	return first.Code, first.Message
}

// printable makes text from elsewhere fit for a terminal: one line, bounded,
// without control characters.
func printable(s string) string {
	s = strings.TrimSpace(oneLine(s))
	if runes := []rune(s); len(runes) > maxErrorText {
		return string(runes[:maxErrorText]) + "…"
	}
	return s
}

// oneLine drops control characters, and makes any space a blank.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r) && r != unicode.ReplacementChar:
			return r
		}
		return -1
	}, s)
}

// discard closes the body, having read a little of it so that the connection
// can be used again.
func discard(resp *http.Response) {
	io.Copy(io.Discard, io.LimitReader(resp.Body, maxErrorBody))
	resp.Body.Close()
}
