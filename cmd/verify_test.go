package cmd

import (
	"testing"

	"github.com/tareml/tare/storage"
)

// TestBadBlobs says whether they are damaged or gone; the exit code is the same.
func TestBadBlobs(t *testing.T) {
	damaged, gone, aside := storage.BadBlob{Problem: "content does not match its digest"}, storage.BadBlob{Problem: "missing"}, storage.BadBlob{Problem: "missing, or was set aside"}
	for want, bad := range map[string][]storage.BadBlob{
		"1 bad blob: content does not match its digest": {damaged},
		"1 blob missing":  {gone},
		"2 blobs missing": {gone, aside},
		"1 blob missing, 2 bad blobs: content does not match its digest": {damaged, aside, damaged},
	} {
		if err := newBadBlobs(bad); err.Error() != want || exitCode(err) != exitContent {
			t.Errorf("%q, exit code %d, want %q", err, exitCode(err), want)
		}
	}
}
