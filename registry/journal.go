package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
)

// Journal keeps, from one process to the next, what helps uploads to go on. It is
// best effort: what is lost is sent again, or learnt again.
//
// What is kept lets whoever reads it write to an upload, so it is for the user's
// eyes alone.
type Journal interface {
	// Claim gives one holder at a time what is kept under key, which is in
	// hexadecimal. It is nil if somebody else holds it, or if nothing can be kept.
	Claim(key string) Claim
}

// Claim is one entry of a [Journal].
type Claim interface {
	// Load returns what was saved last, nil if nothing was.
	Load() []byte

	// Save replaces it.
	Save(data []byte)

	// Release ends the claim. With forget, nothing stays.
	Release(forget bool)
}

// journalKey is the key of what these words name.
func journalKey(words ...string) string {
	data, _ := json.Marshal(words)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// claim is a Claim of c's journal, or nil.
func (c *Client) claim(words ...string) Claim {
	if c.journal == nil {
		return nil
	}
	return c.journal.Claim(journalKey(words...))
}

// entry is what a journal keeps of an upload.
type entry struct {
	Location string `json:"location"`
	Least    int64  `json:"least,omitempty"`
	Offset   int64  `json:"offset,omitempty"` // that the registry was known to have
}

// remembered is the session that a claim tells of, or nil. It has to be at the
// registry itself, as that is reached today: credentials and the model itself go
// where an entry says.
func (r *Repository) remembered(ctx context.Context, c Claim) *session {
	if c == nil {
		return nil
	}
	var e entry
	if json.Unmarshal(c.Load(), &e) != nil || e.Location == "" {
		return nil
	}
	req, err := r.request(ctx, http.MethodPost, "blobs/uploads/")
	if err != nil {
		return nil
	}
	at, err := url.Parse(e.Location)
	if err != nil || at.User != nil || canonical(at) != canonical(req.URL) {
		return nil
	}
	return &session{repo: r, at: at, least: e.Least, offset: max(0, e.Offset), sends: 1}
}

// remember tells a claim of a session.
func (s *session) remember(c Claim) {
	if data, err := json.Marshal(entry{s.at.String(), s.least, s.offset}); err == nil && c != nil {
		c.Save(data)
	}
}
