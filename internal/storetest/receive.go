package storetest

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
)

// noFill is a Fill that must not be called.
func noFill(t *testing.T) Fill {
	return func(context.Context, blob.Sink) (blob.Proof, error) {
		t.Error("fill was called")
		return blob.Proof{}, errors.New("fill was called")
	}
}

func testReceive(t *testing.T, e *env) {
	data := []byte("from afar")
	desc := Describe(octets, data)
	present, err := e.Receive(t.Context(), desc, Write(desc, data))
	if present || err != nil {
		t.Fatalf("got %v, %v, want a transfer", present, err)
	}
	checkContent(t, e, desc, data)
	present, err = e.Receive(t.Context(), desc, noFill(t))
	if !present || err != nil {
		t.Errorf("second time: got %v, %v, want it to be present", present, err)
	}
}

func testReceiveResumes(t *testing.T, e *env) {
	data := []byte("first half, second half")
	desc := Describe(octets, data)
	cut := errors.New("connection reset")
	_, err := e.Receive(t.Context(), desc, func(_ context.Context, sink blob.Sink) (blob.Proof, error) {
		state, err := sink.LoadState()
		if state != nil || err != nil {
			t.Errorf("state of a new sink: got %q, %v", state, err)
		}
		_, err = sink.WriteAt(data[:11], 0)
		must(t, err)
		must(t, sink.SaveState([]byte("0")))
		must(t, sink.SaveState([]byte("11")))
		return blob.Proof{}, cut
	})
	if !errors.Is(err, cut) {
		t.Fatalf("got %v, want %v", err, cut)
	}
	_, err = e.begin(t).Receive(t.Context(), desc, func(_ context.Context, sink blob.Sink) (blob.Proof, error) {
		state, err := sink.LoadState()
		if string(state) != "11" || err != nil {
			t.Errorf("state: got %q, %v, want 11", state, err)
		}
		got := make([]byte, len(data))
		_, err = sink.ReadAt(got[:11], 0)
		must(t, err)
		copy(got[11:], data[11:])
		_, err = sink.WriteAt(data[11:], 11)
		must(t, err)
		return Prove(desc, got)
	})
	must(t, err)
	checkContent(t, e, desc, data)
}

// checkFresh checks that the next transfer of desc starts from nothing, and
// works.
func checkFresh(t *testing.T, e *env, desc ocispec.Descriptor, data []byte) {
	t.Helper()
	if _, err := e.Open(desc); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("content that was not verified is in the store: %v", err)
	}
	_, err := e.Receive(t.Context(), desc, func(ctx context.Context, sink blob.Sink) (blob.Proof, error) {
		if state, err := sink.LoadState(); state != nil || err != nil {
			t.Errorf("state: got %q, %v, want none", state, err)
		}
		if n, err := sink.ReadAt(make([]byte, 1), 0); n != 0 || err != io.EOF {
			t.Errorf("the sink is not empty: %d, %v", n, err)
		}
		return Write(desc, data)(ctx, sink)
	})
	must(t, err)
	checkContent(t, e, desc, data)
}

func testReceiveMismatch(t *testing.T, e *env) {
	data, wrong := []byte("right"), []byte("wrong")
	desc := Describe(octets, data)
	_, err := e.Receive(t.Context(), desc, func(ctx context.Context, sink blob.Sink) (blob.Proof, error) {
		must(t, sink.SaveState([]byte("state")))
		return Write(desc, wrong)(ctx, sink)
	})
	if !errors.Is(err, blob.ErrMismatch) {
		t.Errorf("got %v, want %v", err, blob.ErrMismatch)
	}
	checkFresh(t, e, desc, data)
}

func testReceiveUnproved(t *testing.T, e *env) {
	data := []byte("trust me")
	desc := Describe(octets, data)
	_, err := e.Receive(t.Context(), desc, func(_ context.Context, sink blob.Sink) (blob.Proof, error) {
		_, err := sink.WriteAt(data, 0)
		return blob.Proof{}, err
	})
	if err == nil {
		t.Error("content without proof was taken")
	}
	checkFresh(t, e, desc, data)
}

func testReceiveOtherProof(t *testing.T, e *env) {
	data, other := []byte("this"), []byte("that")
	desc := Describe(octets, data)
	_, err := e.Receive(t.Context(), desc, func(_ context.Context, sink blob.Sink) (blob.Proof, error) {
		_, err := sink.WriteAt(other, 0)
		must(t, err)
		return Prove(Describe(octets, other), other)
	})
	if err == nil {
		t.Error("the proof of other content was taken")
	}
	checkFresh(t, e, desc, data)
}

func testReceiveBeyond(t *testing.T, e *env) {
	data := []byte("short")
	desc := Describe(octets, data)
	_, err := e.Receive(t.Context(), desc, func(_ context.Context, sink blob.Sink) (blob.Proof, error) {
		_, err := sink.WriteAt([]byte("xy"), desc.Size-1)
		if !errors.Is(err, blob.ErrMismatch) {
			t.Errorf("WriteAt: got %v, want %v", err, blob.ErrMismatch)
		}
		return blob.Proof{}, err
	})
	if !errors.Is(err, blob.ErrMismatch) {
		t.Errorf("got %v, want %v", err, blob.ErrMismatch)
	}
	checkFresh(t, e, desc, data)
}

// testReceiveNoBytes has a proof but no bytes to it.
func testReceiveNoBytes(t *testing.T, e *env) {
	data := []byte("all talk")
	desc := Describe(octets, data)
	_, err := e.Receive(t.Context(), desc, func(context.Context, blob.Sink) (blob.Proof, error) {
		return Prove(desc, data)
	})
	if err == nil {
		t.Error("content that was never written was taken")
	}
	checkFresh(t, e, desc, data)
}

// testReceiveOnce has others wait for a transfer, until it is done.
func testReceiveOnce(t *testing.T, e *env) {
	data := []byte("wanted by many")
	desc := Describe(octets, data)
	var wg sync.WaitGroup
	_, err := e.Receive(t.Context(), desc, func(ctx context.Context, sink blob.Sink) (blob.Proof, error) {
		for range 4 {
			waits := make(chan struct{})
			waiter := &watched{Context: ctx, looked: sync.OnceFunc(func() { close(waits) })}
			wg.Go(func() {
				if present, err := e.Receive(waiter, desc, noFill(t)); !present || err != nil {
					t.Errorf("got %v, %v, want it to be present", present, err)
				}
			})
			<-waits
		}
		return Write(desc, data)(ctx, sink)
	})
	must(t, err)
	wg.Wait()
	checkContent(t, e, desc, data)
}

// watched is a context that tells when somebody looks whether it is done, as
// those do who wait.
type watched struct {
	context.Context
	looked func()
}

func (w *watched) Done() <-chan struct{} {
	w.looked()
	return w.Context.Done()
}

func (w *watched) Err() error {
	w.looked()
	return w.Context.Err()
}

func testReceiveWaitCancelled(t *testing.T, e *env) {
	data := []byte("slow")
	desc := Describe(octets, data)
	_, err := e.Receive(t.Context(), desc, func(ctx context.Context, sink blob.Sink) (blob.Proof, error) {
		waiting, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := e.begin(t).Receive(waiting, desc, noFill(t)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
		return Write(desc, data)(ctx, sink)
	})
	must(t, err)
}

func testReceiveHostile(t *testing.T, e *env) {
	good := Describe(octets, []byte("x"))
	for _, desc := range []ocispec.Descriptor{
		{Digest: "sha256:../../x", Size: 1},
		{Digest: good.Digest, Size: -1},
	} {
		if _, err := e.Receive(t.Context(), desc, noFill(t)); !errors.Is(err, blob.ErrHostile) {
			t.Errorf("%v: got %v, want %v", desc, err, blob.ErrHostile)
		}
	}
}
