package faultregistry_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	f "github.com/tareml/tare/internal/faultregistry"
)

// start sends a request and returns when the header is there.
func start(ctx context.Context, t *testing.T, client *http.Client, url string) *http.Response {
	t.Helper()
	resp, err := client.Do(newRequest(ctx, t, http.MethodGet, url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestHangEndsWithTheClient(t *testing.T) {
	reg, art, data := fill(t)
	reg.Script(f.Blob, f.Hang(1000))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp := start(ctx, t, newClient(t, nil), blobURL(reg, art, 0))
	got := make([]byte, 1000)
	if _, err := io.ReadFull(resp.Body, got); err != nil || !bytes.Equal(got, data[:1000]) {
		t.Error(err)
	}
	cancel()
	if n, err := resp.Body.Read(got); n > 0 || err == nil {
		t.Errorf("%d bytes more, %v", n, err)
	}
	reg.Idle()
	if reg.Sent() != 1000 {
		t.Errorf("%d bytes sent", reg.Sent())
	}
}

func TestHangEndsWithTheRegistry(t *testing.T) {
	for name, fault := range map[string]f.Fault{
		"before the header": f.Hang(f.BeforeHeader),
		"in the body":       f.Hang(9),
		"trickling":         f.Trickle(9, nil),
		"slow":              f.Rate(1),
	} {
		reg, art, _ := fill(t)
		arrived := make(chan struct{})
		reg.Script(f.Blob, fault.Do(func() { close(arrived) }))
		done := make(chan answer)
		go func() { done <- get(t, newClient(t, nil), blobURL(reg, art, 0)) }()
		<-arrived
		reg.Close()
		if got := <-done; got.err == nil {
			t.Errorf("%s: %d and a whole body", name, got.status)
		}
	}
}

// TestClientThatDoesNotRead is about answers that fill the kernel's buffers.
func TestClientThatDoesNotRead(t *testing.T) {
	for name, fault := range map[string]f.Fault{"by net/http": f.Chunked(), "by hand": f.WrongLength(-1)} {
		reg := f.New(t)
		art := reg.AddContent("models/x", f.Random(32<<20, 1))
		reg.Script(f.Blob, fault)
		start(t.Context(), t, newClient(t, nil), blobURL(reg, art, 0))
		reg.Close()
		if reg.Sent() == art.Layers[0].Size {
			t.Errorf("%s: all was sent", name)
		}
	}
}

func TestTrickle(t *testing.T) {
	reg, art, data := fill(t)
	next := make(chan struct{})
	reg.Script(f.Blob, f.Trickle(500, next))
	resp := start(t.Context(), t, newClient(t, nil), blobURL(reg, art, 0))
	got := make([]byte, 1000)
	if n, err := resp.Body.Read(got); n != 500 || err != nil {
		t.Errorf("%d bytes at first, %v", n, err)
	}
	next <- struct{}{}
	if _, err := io.ReadFull(resp.Body, got[500:]); err != nil || !bytes.Equal(got, data[:1000]) {
		t.Error(err)
	}
	close(next)
	if rest, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(rest, data[1000:]) {
		t.Errorf("%d bytes more, %v", len(rest), err)
	}
}

// TestRates can only fail for being too fast, whatever the machine is busy with.
func TestRates(t *testing.T) {
	for name, test := range map[string]struct {
		fault f.Fault
		least time.Duration // for two blobs at once
	}{
		"a connection": {f.Rate(10 * size), 80 * time.Millisecond},
		"shared":       {f.SharedRate(10 * size), 180 * time.Millisecond},
	} {
		reg, art, data := fill(t)
		reg.Script(f.Blob, test.fault.Always())
		client := newClient(t, nil)
		begin := time.Now()
		done := make(chan answer)
		for range 2 {
			go func() { done <- get(t, client, blobURL(reg, art, 0)) }()
		}
		for range 2 {
			if got := <-done; !bytes.Equal(got.body, data) {
				t.Errorf("%s: %v", name, got.err)
			}
		}
		if took := time.Since(begin); took < test.least {
			t.Errorf("%s: %v, want at least %v", name, took, test.least)
		}
		if reg.Peak(f.Blob) != 2 {
			t.Errorf("%s: %d at a time", name, reg.Peak(f.Blob))
		}
	}
}

func TestAtMost(t *testing.T) {
	reg, art, _ := fill(t)
	reg.Script(f.Blob, f.AtMost(2, "Retry-After", "1").Always(), f.Hang(9).Times(2))
	client := newClient(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 {
		start(ctx, t, client, blobURL(reg, art, 0))
	}
	for range 2 {
		if got := get(t, client, blobURL(reg, art, 0)); got.status != 429 || got.header.Get("Retry-After") != "1" {
			t.Errorf("%d %v", got.status, got.header)
		}
	}
	cancel()
	reg.Idle()
	if got := get(t, client, blobURL(reg, art, 0)); got.status != 200 {
		t.Errorf("when the others are done: %d", got.status)
	}
	if reg.Peak(f.Blob) != 2 {
		t.Errorf("%d at a time", reg.Peak(f.Blob))
	}
}
