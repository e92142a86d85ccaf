package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// body is an answer's, or a request's, of n bytes.
func bodyOf(n int) io.ReadCloser { return io.NopCloser(bytes.NewReader(make([]byte, n))) }

func TestRateIsSharedAndInBothDirections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, size = 1 << 20, 2 << 20
		limited := &paced{pacer: &pacer{rate: rate}, next: roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Body != nil {
				io.Copy(io.Discard, req.Body)
				return answer(http.StatusCreated), nil
			}
			resp := answer(http.StatusOK)
			resp.Body = bodyOf(size)
			return resp, nil
		})}
		start := time.Now()
		var group sync.WaitGroup
		for i := range 3 {
			group.Go(func() {
				var body io.Reader
				if i == 0 {
					body = bodyOf(size)
				}
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://x", body)
				resp, err := limited.RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				n, err := io.Copy(io.Discard, resp.Body)
				if want := map[bool]int64{true: 0, false: size}[i == 0]; err != nil || n != want {
					t.Errorf("%d bytes, %v", n, err)
				}
			})
		}
		group.Wait()
		if took, want := time.Since(start), 6*time.Second; took > want || took < want-paceStep-time.Millisecond {
			t.Errorf("three bodies of 2 s took %s, want %s", took, want)
		}
	})
}

func TestRateIsEven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 1 << 20
		p := &pacer{rate: rate}
		body := (&paced{pacer: p}).slow(t.Context(), bodyOf(4<<20))
		time.Sleep(time.Hour) // what was not used is no credit
		start := time.Now()
		buf, total := make([]byte, 1<<20), 0
		for {
			n, err := body.Read(buf)
			total += n
			if most := int(time.Since(start).Seconds()*rate) + 2*p.step(); total > most {
				t.Fatalf("%d bytes after %s, want at most %d", total, time.Since(start), most)
			}
			if err != nil {
				break
			}
		}
	})
}

func TestRateEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		body := (&paced{pacer: &pacer{rate: 10}}).slow(ctx, bodyOf(1000))
		if _, err := io.Copy(io.Discard, body); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestOurOwnWaitIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A byte a second, and nobody may be silent for longer than that.
		o := Options{Stall: 500 * time.Millisecond, LimitRate: 1, Sleep: sleep}
		transport := newTransport(o, roundTripper(func(req *http.Request) (*http.Response, error) {
			resp := answer(http.StatusOK)
			if req.Body != nil {
				if _, err := io.Copy(io.Discard, req.Body); err != nil {
					return nil, err
				}
			}
			ctx := req.Context()
			resp.Body = struct {
				io.Reader
				io.Closer
			}{readerFunc(func(p []byte) (int, error) {
				if err := ctx.Err(); err != nil {
					return 0, err
				}
				p[0] = 'x'
				return 1, nil
			}), io.NopCloser(nil)}
			return resp, nil
		}), func() {})
		start := time.Now()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://x", strings.NewReader("12345"))
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.CopyN(io.Discard, resp.Body, 5); err != nil {
			t.Error(err)
		}
		if took := time.Since(start).Round(time.Second); took != 10*time.Second {
			t.Errorf("ten bytes took %s", took)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestPacedBodyCanBeHadAgain is what net/http does on a connection that had died.
func TestPacedBodyCanBeHadAgain(t *testing.T) {
	opened := 0
	req, err := http.NewRequest(http.MethodPut, "http://registry.invalid", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	again := req.GetBody
	req.GetBody = func() (io.ReadCloser, error) { opened++; return again() }
	rt := &paced{pacer: &pacer{rate: 1 << 30}, next: roundTripper(func(req *http.Request) (*http.Response, error) {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		got, err := io.ReadAll(body)
		if string(got) != "body" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		return answer(http.StatusOK), nil
	})}
	if _, err := rt.RoundTrip(req); err != nil || opened != 1 {
		t.Errorf("%v, opened %d times", err, opened)
	}
}
