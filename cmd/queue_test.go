package cmd

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
)

// slowDestination is somebody else's for a while.
type slowDestination time.Duration

func (s slowDestination) Receive(ctx context.Context, _ ocispec.Descriptor, fill func(context.Context, blob.Sink) (blob.Proof, error)) (bool, error) {
	time.Sleep(time.Duration(s))
	_, err := fill(ctx, nil)
	return false, err
}

func TestQueueSaysThatItWaits(t *testing.T) {
	for name, test := range map[string]struct {
		queued, filling time.Duration
		blobs, told     int
	}{
		"nobody else":   {0, time.Minute, 3, 0},
		"a moment":      {time.Second, time.Minute, 1, 0},
		"somebody else": {time.Minute, 0, 1, 1},
		"several blobs": {time.Minute, 0, 3, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := 0
				q := &queue{Destination: slowDestination(test.queued), waiting: func() { told++ }}
				for range test.blobs {
					q.Receive(t.Context(), ocispec.Descriptor{}, func(context.Context, blob.Sink) (blob.Proof, error) {
						time.Sleep(test.filling)
						return blob.Proof{}, nil
					})
				}
				synctest.Wait()
				if told != test.told {
					t.Errorf("told %d times, want %d", told, test.told)
				}
			})
		})
	}
}
