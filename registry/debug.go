package registry

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// debugLog writes what happens on the wire, a line at a time, with no secret in
// it: no value of a query, no credentials, no body. A nil one writes nothing.
type debugLog struct {
	secrets *redactor
	mu      sync.Mutex
	w       io.Writer
	n       atomic.Int64 // requests so far
}

// newDebugLog is nil if w is.
func newDebugLog(w io.Writer, secrets *redactor) *debugLog {
	if w == nil {
		return nil
	}
	return &debugLog{w: w, secrets: secrets}
}

// printf writes a line. A line that cannot be written is lost: work goes on.
func (l *debugLog) printf(format string, args ...any) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, "debug: %s\n", oneLine(l.secrets.text(fmt.Sprintf(format, args...))))
}

// debugger writes each request and what came of it. A number at the end of both
// lines says what belongs together.
type debugger struct {
	log  *debugLog
	next http.RoundTripper
}

func (t *debugger) RoundTrip(req *http.Request) (*http.Response, error) {
	id, start := t.log.n.Add(1), time.Now()
	t.log.printf("> %s %s%s (#%d)", req.Method, shownURL(req.URL), shownHeaders(req), id)
	resp, err := t.next.RoundTrip(req)
	took := time.Since(start).Round(time.Millisecond)
	if err != nil {
		t.log.printf("< no answer: %s, %s (#%d)", shownFailure(req, err), took, id)
		return nil, err
	}
	t.log.printf("< %s, %s (#%d)", shownAnswer(resp), took, id)
	resp.Body = &debuggedBody{ReadCloser: resp.Body, failed: func(n int64, err error) {
		t.log.printf("< cut after %s: %s (#%d)", shownSize(n), shownFailure(req, err), id)
	}}
	return resp, nil
}

// ShowCall tells o.Debug of a request that another client than one of ours made, in
// a line: what it was to do, and what came of it. Of the address only the host is
// shown: those that give out credentials may have a secret in their path. Resp is
// nil if there was no answer.
func (o Options) ShowCall(operation string, req *http.Request, resp *http.Response, err error, took time.Duration) {
	result := "no answer"
	switch urlErr, ok := errors.AsType[*url.Error](err); {
	case resp != nil:
		result = fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	case req.Context().Err() != nil:
		result += ": cancelled"
	case ok: // around it is the address
		result += ": " + shown(urlErr.Err)
	}
	newDebugLog(o.Debug, nil).printf("%s %s://%s %s: %s, %s", cmp.Or(req.Method, http.MethodGet), req.URL.Scheme, req.URL.Host, operation, result, took.Round(time.Millisecond))
}

// shownFailure is what became of req. One that was cancelled has the reason for
// that as its error, which is that of another request.
func shownFailure(req *http.Request, err error) string {
	if req.Context().Err() != nil {
		return "cancelled"
	}
	return shown(err)
}

func (t *debugger) CloseIdleConnections() { closeIdle(t.next) }

// debuggedBody tells of a body that did not come to its end.
type debuggedBody struct {
	io.ReadCloser
	n      int64
	failed func(n int64, err error)
}

func (b *debuggedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	if err != nil && err != io.EOF {
		b.failed(b.n, err)
	}
	return n, err
}

// shownURL is u with the names of its query alone: presigned addresses have
// their signature there.
func shownURL(u *url.URL) string {
	text := u.Scheme + "://" + u.Host + u.EscapedPath()
	sign := "?"
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		name, _, ok := strings.Cut(part, "=")
		switch {
		case part == "":
			continue
		case ok:
			text += sign + name + "=…"
		default: // who knows whether this is a name
			text += sign + "…"
		}
		sign = "&"
	}
	return text
}

// shownHeaders are the headers of req that say something, behind a blank.
func shownHeaders(req *http.Request) string {
	var text strings.Builder
	if span := req.Header.Get("Range"); span != "" {
		fmt.Fprintf(&text, " range %s", span)
	}
	if authorization := req.Header.Get("Authorization"); authorization != "" {
		fmt.Fprintf(&text, " authorization %s", shownScheme(authorization))
	}
	if req.ContentLength > 0 {
		fmt.Fprintf(&text, " sends %s", shownSize(req.ContentLength))
	}
	return text.String()
}

// shownScheme names the kind of credentials, if it is a known one: of others
// nobody knows where the secret begins.
func shownScheme(authorization string) string {
	scheme, _, _ := strings.Cut(authorization, " ")
	for _, known := range []string{"Basic", "Bearer"} {
		if strings.EqualFold(scheme, known) {
			return known + " …"
		}
	}
	return "…"
}

func shownAnswer(resp *http.Response) string {
	text := fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if span := resp.Header.Get("Content-Range"); span != "" {
		text += " " + span
	}
	if wait := resp.Header.Get("Retry-After"); wait != "" {
		text += ", retry after " + wait
	}
	if to, err := resp.Location(); err == nil {
		text += ", location " + shownURL(to)
	}
	if resp.ContentLength >= 0 {
		text += ", " + shownSize(resp.ContentLength)
	}
	return text
}

// shownSize writes a number of bytes for people.
func shownSize(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for ; value >= 1023.95 && unit < len("KMGTPE")-1; unit++ {
		value /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[unit])
}
