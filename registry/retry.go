package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxAttempts     = 6 // of one request
	maxDialAttempts = 3 // when nobody answers at all

	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 30 * time.Second

	// maxRetryAfter is the longest wait that is sat through. Whoever is asked
	// to come back tomorrow wants to know.
	maxRetryAfter = time.Hour
)

// retrier repeats requests that failed for a reason that may pass. Requests
// with a body are repeated if the body can be had again.
type retrier struct {
	next    http.RoundTripper
	sleep   func(context.Context, time.Duration) error
	busy    func()    // or nil
	log     *debugLog // or nil
	secrets *redactor // that were sent
	pauses  pauses

	notices notices
}

func (t *retrier) RoundTrip(req *http.Request) (*http.Response, error) {
	var served time.Time // the end of the pause that this request sat through
	for attempt := 1; ; attempt++ {
		if err := t.await(req, served); err != nil {
			return nil, err
		}
		resp, err := t.next.RoundTrip(req)
		served = t.heed(req, resp)
		wait, again := plan(req, resp, err, attempt)
		if !again {
			return resp, err
		}
		t.log.printf("! again in %s: %s %s", wait.Round(time.Millisecond), req.Method, shownURL(req.URL))
		t.notices.waiting(req.Context(), req.URL.Host, wait, reasonFor(resp, err))
		if resp != nil {
			discard(resp)
		}
		if err := t.sleep(req.Context(), wait); err != nil {
			return nil, err
		}
		if req, err = rewind(req); err != nil {
			return nil, err
		}
	}
}

// await sits through a pause that the server asked for, in its answer to
// whichever request.
func (t *retrier) await(req *http.Request, served time.Time) error {
	origin := canonical(req.URL)
	err := t.pauses.wait(req.Context(), origin, served, func(ctx context.Context, left time.Duration) error {
		if isHasty(ctx) {
			return &problem{text: fmt.Sprintf("the server asked to be left alone for %s", left.Round(time.Second)), kind: ErrUnavailable}
		}
		t.log.printf("! %s asked for a pause, %s are left", origin, left.Round(time.Millisecond))
		t.notices.waiting(ctx, req.URL.Host, left, "asked to be left alone for a while")
		return t.sleep(ctx, left)
	})
	if err != nil && req.Body != nil {
		req.Body.Close()
	}
	return err
}

// reasonFor says why a request is sent again.
func reasonFor(resp *http.Response, err error) string {
	if err != nil {
		return printable(unreachable(err).Error())
	}
	return fmt.Sprintf("status %d %s", resp.StatusCode, strings.ToLower(http.StatusText(resp.StatusCode)))
}

// heed takes note of a server that has too much to do. It returns the end of the
// pause that the server asked for, if it did.
func (t *retrier) heed(req *http.Request, resp *http.Response) (end time.Time) {
	if resp == nil || resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return end
	}
	if t.busy != nil {
		t.busy()
	}
	now := time.Now()
	if wait := parseRetryAfter(resp.Header.Get("Retry-After"), now); wait > 0 && wait <= maxRetryAfter {
		end = now.Add(wait)
		t.pauses.extend(canonical(req.URL), end)
	}
	return end
}

func (t *retrier) CloseIdleConnections() { closeIdle(t.next) }

// plan says whether to try again, and after what time.
func plan(req *http.Request, resp *http.Response, err error, attempt int) (wait time.Duration, again bool) {
	ctx := req.Context()
	if attempt >= maxAttempts || ctx.Err() != nil || isHasty(ctx) || isOnce(ctx) || hasBody(req) && req.GetBody == nil {
		return 0, false
	}
	if err != nil {
		if !transient(err) || attempt >= maxDialAttempts && dialFailed(err) {
			return 0, false
		}
		return backoff(attempt), true
	}
	if !retryStatus(req.Method, resp.StatusCode) {
		return 0, false
	}
	if wait := parseRetryAfter(resp.Header.Get("Retry-After"), time.Now()); wait > 0 {
		return wait, wait <= maxRetryAfter
	}
	return backoff(attempt), true
}

// retryStatus says which refusals pass.
func retryStatus(method string, status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	case http.StatusInternalServerError:
		return method == http.MethodGet || method == http.MethodHead
	}
	return false
}

// transient says whether the connection failed, rather than something that
// will fail the same way again.
func transient(err error) bool {
	if untrusted(err) || refusedCertificate(err) {
		return false
	}
	if tunnel, ok := errors.AsType[proxyError](err); ok {
		return tunnel.passing()
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return slices.Contains(transientOps(), op.Op)
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		strings.Contains(err.Error(), "server closed idle connection")
}

// transientOps are the operations of a [net.OpError] that may go well the next
// time. The last two are alerts of TLS, from the other end and from ours.
func transientOps() []string {
	return []string{"dial", "proxyconnect", "read", "write", "readfrom", "remote error", "local error"}
}

// dialFailed says whether the connection did not come about. Such an error may
// well be one that stays.
func dialFailed(err error) bool {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	if _, ok := errors.AsType[proxyError](err); ok {
		return true
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && !slices.Contains([]string{"read", "write", "readfrom"}, op.Op)
}

// rewind returns req with its body as new.
func rewind(req *http.Request) (*http.Request, error) {
	again := req.Clone(req.Context())
	if req.GetBody == nil {
		return again, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	again.Body = body
	return again, nil
}

// backoff doubles with each attempt and is spread so that many clients do not
// come back at the same moment.
func backoff(attempt int) time.Duration {
	d := min(firstBackoff<<min(attempt-1, 10), maxBackoff)
	return d/2 + rand.N(d/2)
}

// parseRetryAfter reads a Retry-After header: seconds, or a date. It is 0 for
// anything else and for dates that have passed.
func parseRetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		const most = uint64((1<<63 - 1) / time.Second)
		return time.Duration(min(seconds, most)) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(0, date.Sub(now))
	}
	return 0
}

// onceKey marks the contexts of [withOnce].
type onceKey struct{}

// withOnce has the transport send a request once: only its sender knows what
// became of it, and what to do about that.
func withOnce(ctx context.Context) context.Context { return context.WithValue(ctx, onceKey{}, true) }

// withRepeats undoes [withOnce].
func withRepeats(ctx context.Context) context.Context {
	return context.WithValue(ctx, onceKey{}, false)
}

func isOnce(ctx context.Context) bool {
	once, _ := ctx.Value(onceKey{}).(bool)
	return once
}
