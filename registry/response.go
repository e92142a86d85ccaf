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
		return nil, c.advised(req, resp, err)
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
	switch {
	case resp.StatusCode == http.StatusBadRequest && strings.Contains(string(body), "HTTPS"):
		p.hint = "the registry speaks TLS: leave out --plain-http"
	case resp.StatusCode == http.StatusRequestEntityTooLarge:
		p.hint = "the registry, or a proxy in front of it, limits the size of a request"
	case code == "NAME_UNKNOWN" && resp.Request.Method == http.MethodPost:
		p.hint = "this registry may want the repository to be created first"
	}
	if wait := parseRetryAfter(resp.Header.Get("Retry-After"), time.Now()); wait > maxRetryAfter {
		p.hint = fmt.Sprintf("the registry asks to come back in %s", wait.Round(time.Minute))
		p.final = true
	}
	return p
}

// newResponseProblem puts the answer of a registry into words.
func newResponseProblem(status int, code, message string) *problem {
	text := printable(message)
	name := printable(strings.ReplaceAll(strings.ToLower(code), "_", " "))
	switch {
	case text == "":
		text = name
	case name != "" && !strings.HasPrefix(strings.ToLower(text), name):
		text = name + ": " + text
	}
	if text == "" {
		text = strings.ToLower(strings.TrimSpace(fmt.Sprintf("status %d %s", status, http.StatusText(status))))
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

// parseErrorBody reads the first error of the form that the distribution spec
// gives, if body has that form.
func parseErrorBody(body []byte) (code, message string) {
	var list struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &list) != nil || len(list.Errors) == 0 {
		return "", ""
	}
	return list.Errors[0].Code, list.Errors[0].Message
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
