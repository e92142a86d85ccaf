package faultregistry

// habits are what registries do differently, and are right to do.
type habits struct {
	vanishing   bool
	stale       bool
	noMount     bool
	bare        bool
	patchStatus int // 0 for none
	maxPatch    int64
	minChunk    int64
	bodyLimit   int64
	immutable   int // status, 0 for tags that move
	noCreation  bool
}

// WithVanishingSessions loses an upload session when a body comes in part, as
// distribution 2.8 and zot do. Chunks that came whole survive.
func WithVanishingSessions() Option { return func(c *config) { c.vanishing = true } }

// WithECR answers 201 to a PATCH, with the Range that was true before it.
func WithECR() Option { return func(c *config) { c.stale = true } }

// WithoutPatch refuses each PATCH with this status before it reads the body. The
// session stays as it was, for one PUT.
func WithoutPatch(status int) Option { return func(c *config) { c.patchStatus = status } }

// WithMaxPatch answers 416 to a PATCH of more than n bytes, as GHCR does.
func WithMaxPatch(n int64) Option { return func(c *config) { c.maxPatch = n } }

// WithMinChunk tells OCI-Chunk-Min-Length, and answers 416 to what comes after a
// smaller chunk: only the last may be smaller, and only what a PATCH declares is
// looked at. A PUT may bring what is left.
func WithMinChunk(n int64) Option { return func(c *config) { c.minChunk = n } }

// WithBodyLimit answers 413 to any body over n bytes, before anybody looks at
// the credentials: as a proxy in front does, in HTML.
func WithBodyLimit(n int64) Option { return func(c *config) { c.bodyLimit = n } }

// WithoutMount answers to a mount with a session.
func WithoutMount() Option { return func(c *config) { c.noMount = true } }

// WithBareRanges leaves Location and Range out of a 416, as distribution does.
func WithBareRanges() Option { return func(c *config) { c.bare = true } }

// WithImmutableTags refuses to move a tag, with this status: 400 at ECR, 409 or
// 412 elsewhere.
func WithImmutableTags(status int) Option { return func(c *config) { c.immutable = status } }

// WithoutCreation takes nothing for a repository that is not there: 404
// NAME_UNKNOWN, as ECR does. [Registry.CreateRepository] makes one.
func WithoutCreation() Option { return func(c *config) { c.noCreation = true } }

// CreateRepository makes an empty repository.
func (r *Registry) CreateRepository(name string) {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	r.store.repo(name)
}
