package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/disk"
)

// lookups is how many layers are looked for at once: it is all waiting for
// answers.
const lookups = 16

// Uploader is a repository of a registry. Its methods are called from several
// goroutines at once.
type Uploader interface {
	// Has says whether the content of desc is there.
	Has(ctx context.Context, desc ocispec.Descriptor) (bool, error)
	// Upload sends the content of src unless it is there, and says whether it
	// was. Report is told of how many more bytes were sent (safe) or were there
	// from an earlier attempt (resumed); negative ones have to be sent again. A
	// registry that gets other bytes than desc says is blob.ErrMismatch.
	Upload(ctx context.Context, desc ocispec.Descriptor, src blob.Source, report func(safe, resumed int64)) (present bool, err error)
}

// Accepter is an [Uploader] that may not take every layer. It is asked when the size
// is known, and before anything of the layer is sent.
type Accepter interface {
	Accepts(l Layer, size int64) error
}

// Pushed is an artifact of which repositories have everything but the manifest.
type Pushed struct {
	Result
	// ManifestJSON is the manifest, for the caller to push last.
	ManifestJSON []byte
	// Moved bytes went over the network in this run, Resumed ones in an earlier
	// run, Skipped ones were there. Each blob counts once for each repository.
	Moved, Resumed, Skipped int64
}

// Push makes the artifact that [Plan.Build] makes and sends its layers and its
// config to each of the repositories, with nothing stored here. A blob goes to one
// of them after the other, in their order. Layers are read while others are sent. A
// file that one blob is made of is read twice, to learn its digest and to be sent;
// compressed layers and bundles wait in a temporary file. A file that changes before
// all of it is sent is an error.
func (p *Plan) Push(ctx context.Context, to []Uploader, layers []Layer, o Options) (*Pushed, error) {
	s := newSender(p, to, o)
	if err := s.knock(ctx); err != nil {
		return nil, err
	}
	done := make([]built, len(layers))
	group, gctx := errgroup.WithContext(ctx)
	for i, l := range layers {
		group.Go(func() (err error) {
			done[i], err = s.layer(gctx, l)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return s.finishPush(ctx, done)
}

// sender is one run of Push. A layer is looked for, read, and sent; each has
// slots of its own, so that one is done while the others are.
type sender struct {
	*builder
	to []Uploader

	finding slots
	files   slots // files that are open and temporary files that are full
	reading slots
	sending slots

	found once
	sent  once

	pushed Pushed // the counts, below the builder's mutex
}

func newSender(p *Plan, to []Uploader, o Options) *sender {
	reading, sending := max(o.Concurrency, 1), max(o.Uploads, 1)
	return &sender{
		builder: &builder{plan: p, o: o, start: time.Now()},
		to:      to,
		finding: newSlots(lookups),
		files:   newSlots(reading + sending),
		reading: newSlots(reading),
		sending: newSlots(sending),
	}
}

// knock asks for a blob that nobody has: whoever will not let us in should say so
// before hours of reading.
func (s *sender) knock(ctx context.Context) error {
	nobodys := blob.Bytes("is anybody there?")
	desc := ocispec.Descriptor{Digest: digest.FromBytes(nobodys), Size: nobodys.Size()}
	for _, end := range s.to {
		if _, err := end.Has(ctx, desc); err != nil {
			return err
		}
	}
	return nil
}

// layer sends one layer, unless its files did not change and it is there.
func (s *sender) layer(ctx context.Context, l Layer) (built, error) {
	k, there, err := s.find(ctx, l)
	if err != nil {
		return built{}, fmt.Errorf("looking for %s: %w", l.Path, err)
	}
	if there {
		s.skip(l)
		s.observe("done", l.Path, 0, 0)
		return k.built, nil
	}
	b, err := s.deliver(ctx, l, k)
	if k != nil && errors.Is(err, blob.ErrMismatch) {
		b, err = s.deliver(ctx, l, nil) // the cache was wrong
	}
	return b, err
}

// finishPush sends the config.
func (s *sender) finishPush(ctx context.Context, layers []built) (*Pushed, error) {
	a, err := s.assemble(layers)
	if err != nil {
		return nil, err
	}
	for _, end := range s.to {
		if err := s.sendTo(ctx, end, a.configDesc, blob.Bytes(a.config), ignore); err != nil {
			return nil, fmt.Errorf("sending the config: %w", err)
		}
	}
	s.pushed.Result, s.pushed.ManifestJSON = a.Result, a.manifest
	return &s.pushed, nil
}

// find looks a layer up in the cache, and if it is known whether every repository
// has it. A layer that is not known is nil.
func (s *sender) find(ctx context.Context, l Layer) (k *known, there bool, err error) {
	if s.o.Cache == nil {
		return nil, false, nil
	}
	if err := s.finding.take(ctx); err != nil {
		return nil, false, err
	}
	defer s.finding.give()
	recalled, ok := s.recall(l)
	if !ok {
		return nil, false, nil
	}
	there, first, err := s.found.do(ctx, recalled.Digest, func() (bool, error) {
		return s.everywhere(ctx, recalled.built.desc)
	})
	if there && first {
		s.count(0, recalled.Size*int64(len(s.to)), 0)
	}
	return &recalled, there, err
}

func (s *sender) everywhere(ctx context.Context, desc ocispec.Descriptor) (bool, error) {
	for _, end := range s.to {
		if there, err := end.Has(ctx, desc); !there || err != nil {
			return false, err
		}
	}
	return true, nil
}

// deliver makes a layer and sends it. That its file changed explains whatever
// else went wrong.
func (s *sender) deliver(ctx context.Context, l Layer, k *known) (built, error) {
	if err := s.files.take(ctx); err != nil {
		return built{}, err
	}
	defer s.files.give()
	c, err := s.open(l)
	if err != nil {
		return built{}, fmt.Errorf("packaging %s: %w", l.Path, err)
	}
	defer c.close()
	r, err := s.learn(ctx, l, c, k)
	if err != nil {
		return built{}, fmt.Errorf("packaging %s: %w", l.Path, err)
	}
	b, err := s.send(ctx, l, c, r)
	if err == nil {
		s.observe("done", l.Path, 0, 0)
	}
	return b, err
}

// learn makes a layer known. What it became is remembered at once: if the sending
// is interrupted, it can go on without the file being read again.
func (s *sender) learn(ctx context.Context, l Layer, c *content, k *known) (remembered, error) {
	if k != nil && c.isFile() && disk.Identify(c.single.before) == l.Files[0].id {
		return k.remembered, nil
	}
	r, err := s.read(ctx, c)
	if err != nil {
		return remembered{}, err
	}
	s.made(l, r, c.identities())
	return r, nil
}

// read learns the digest of a layer. What cannot be read again at any place is
// put into a temporary file.
func (s *sender) read(ctx context.Context, c *content) (remembered, error) {
	if err := s.reading.take(ctx); err != nil {
		return remembered{}, err
	}
	defer s.reading.give()
	w := io.Discard
	if !c.isFile() {
		spool, err := newSpool(s.o.TempDir)
		if err != nil {
			return remembered{}, err
		}
		c.spool, w = spool, spool
	}
	dgst, size, err := copyHashed(ctx, w, c.reader)
	if err != nil {
		return remembered{}, err
	}
	return c.became(dgst, size), nil
}

// send sends a layer to every repository, unless another layer is the same blob.
func (s *sender) send(ctx context.Context, l Layer, c *content, r remembered) (built, error) {
	b, err := s.finish(l, r, c.identities())
	if err != nil {
		return built{}, err
	}
	if err := s.accepted(l, r.Size); err != nil {
		return built{}, err
	}
	_, first, err := s.sent.do(ctx, r.Digest, func() (bool, error) {
		return true, s.upload(ctx, l, b.desc, c.source())
	})
	if changed := c.changed(); changed != nil {
		return built{}, fmt.Errorf("packaging %s: %w", l.Path, changed)
	}
	if err != nil {
		return built{}, err
	}
	if !first {
		s.skip(l)
	}
	return b, nil
}

// accepted is an error if a repository does not take a layer of so many bytes.
func (s *sender) accepted(l Layer, size int64) error {
	for _, end := range s.to {
		if a, ok := end.(Accepter); ok {
			if err := a.Accepts(l, size); err != nil {
				return err
			}
		}
	}
	return nil
}

// upload sends one blob to every repository.
func (s *sender) upload(ctx context.Context, l Layer, desc ocispec.Descriptor, src blob.Source) error {
	if err := s.sending.take(ctx); err != nil {
		return err
	}
	defer s.sending.give()
	saved := l.Size() - desc.Size // by compression, which may also make more of it
	for _, end := range s.to {
		s.progress(l.Path, 0, max(saved, 0), 0)
		err := s.sendTo(ctx, end, desc, src, func(safe, skipped, resumed int64) {
			s.progress(l.Path, safe, skipped, resumed)
		})
		if err != nil {
			return fmt.Errorf("sending %s: %w", l.Path, err)
		}
		s.progress(l.Path, 0, min(saved, 0), 0)
	}
	return nil
}

// sendTo sends one blob to one repository.
func (s *sender) sendTo(ctx context.Context, end Uploader, desc ocispec.Descriptor, src blob.Source, progress func(safe, skipped, resumed int64)) error {
	present, err := end.Upload(ctx, desc, src, func(safe, resumed int64) {
		s.count(safe, 0, resumed)
		progress(safe, 0, resumed)
	})
	if err == nil && present {
		s.count(0, desc.Size, 0)
		progress(0, desc.Size, 0)
	}
	return err
}

// skip reports that nothing of a layer had to be sent.
func (s *sender) skip(l Layer) { s.progress(l.Path, 0, l.Size()*int64(len(s.to)), 0) }

// ignore is for what the observer does not expect to hear of.
func ignore(_, _, _ int64) {}

func (s *sender) progress(path string, safe, skipped, resumed int64) {
	if s.o.Observer != nil && (safe != 0 || skipped != 0 || resumed != 0) {
		s.o.Observer.Observe("data", path, safe, skipped, resumed)
	}
}

func (s *sender) count(moved, skipped, resumed int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pushed.Moved += moved
	s.pushed.Skipped += skipped
	s.pushed.Resumed += resumed
}

// isFile says whether a layer is a file, with a header and a trailer perhaps, and
// can be read again at any place.
func (c *content) isFile() bool { return c.single != nil && c.compressor == nil }

// source is where a layer that was read can be read again.
func (c *content) source() blob.Source {
	if c.spool != nil {
		return c.spool
	}
	return c.single
}
