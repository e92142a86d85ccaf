package cmd

import (
	"context"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/registry"
)

// noticeableQueue is how long a blob waits for somebody else before people hear of it.
const noticeableQueue = 2 * time.Second

// queue is a destination that another process may be filling with the same content,
// which is waited for. It says so, once.
type queue struct {
	registry.Destination
	waiting func()

	once sync.Once
}

// Receive implements [registry.Destination].
func (q *queue) Receive(ctx context.Context, desc ocispec.Descriptor, fill func(context.Context, blob.Sink) (blob.Proof, error)) (present bool, err error) {
	timer := time.AfterFunc(noticeableQueue, func() { q.once.Do(q.waiting) })
	defer timer.Stop()
	return q.Destination.Receive(ctx, desc, func(ctx context.Context, sink blob.Sink) (blob.Proof, error) {
		timer.Stop()
		return fill(ctx, sink)
	})
}
