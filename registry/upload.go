package registry

import (
	"context"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/tareml/tare/blob"
)

const (
	// uploadAttempts is how often in a row an upload may fail without progress.
	// With what is waited between them that is a few minutes.
	uploadAttempts = 12

	// sessionAttempts is after how many of them a session that does not answer,
	// though the registry does, counts as gone.
	sessionAttempts = 8

	// A registry that got all bytes of a blob and did not confirm it may be busy
	// with it still. It is asked at least leastLooks times, once more for each
	// lookBytes of the blob, and at most mostLooks times.
	leastLooks, mostLooks = 4, 20
	lookBytes             = 2 << 30
)

// Upload sends the content of src, unless the registry has it, and says whether
// it had. It does not close src.
//
// Report may be nil. It is told how many more bytes were sent (safe), or were
// there from an earlier run (resumed). Fewer than zero have to be sent again.
func (r *Repository) Upload(ctx context.Context, desc ocispec.Descriptor, src blob.Source, report func(safe, resumed int64)) (present bool, err error) {
	return r.UploadOrMount(ctx, desc, "", src, report)
}

// UploadOrMount is Upload, but asks the registry first to take the content from
// another of its repositories, unless the name of that is empty. What it took
// counts as present.
func (r *Repository) UploadOrMount(ctx context.Context, desc ocispec.Descriptor, from string, src blob.Source, report func(safe, resumed int64)) (present bool, err error) {
	if report == nil {
		report = func(int64, int64) {}
	}
	open := func() (blob.Source, error) { return nopCloser{src}, nil }
	present, err = r.upload(ctx, desc, from, open, report)
	if err != nil {
		return false, r.pushing(desc, err)
	}
	return present, nil
}

// nopCloser keeps a source open that belongs to somebody else.
type nopCloser struct{ blob.Source }

func (nopCloser) Close() error { return nil }

// pushing says what err got in the way of.
func (r *Repository) pushing(desc ocispec.Descriptor, err error) error {
	return fmt.Errorf("pushing %s@%s: %w", r.ref.Name(), desc.Digest, err)
}

// upload is Upload with a source that is opened only if it is needed, and the
// name of another repository that may have the blob.
func (r *Repository) upload(ctx context.Context, desc ocispec.Descriptor, from string, open func() (blob.Source, error), report func(safe, resumed int64)) (present bool, err error) {
	if _, err := blob.NewVerifier(desc); err != nil {
		return false, err
	}
	if ctx, err = r.scoped(ctx, auth.ActionPull, auth.ActionPush); err != nil {
		return false, err
	}
	if present, err := r.has(ctx, desc); present || err != nil {
		return present, err
	}
	src, err := open()
	if err != nil {
		return false, err
	}
	defer src.Close()
	if src.Size() != desc.Size {
		return false, fmt.Errorf("the source has %d bytes, the manifest says %d: %w", src.Size(), desc.Size, blob.ErrMismatch)
	}
	u := &upload{repo: r, desc: desc, src: src, from: from, report: report}
	return u.run(ctx)
}

// upload is one blob on its way to the registry. It goes on from what the
// registry says that it has, never from what was sent.
type upload struct {
	repo   *Repository
	desc   ocispec.Descriptor
	src    blob.Source
	from   string // another repository that may have the blob, or ""
	report func(safe, resumed int64)

	session *session // nil if there is none
	doubts           // of the session
	claim   Claim    // of its entry in the journal, or nil

	why     string // it failed the last time
	last    int64  // bytes that the last request was to send
	chunked bool   // and it was a chunk

	safe, resumed int64 // reported
	best          int64 // the most that the registry ever had
	patience
	custody
	distrusted bool // all bytes arrived once, and were refused
	lost       bool // a session was unknown when its first chunk came
	mounted    bool // from another repository
}

// doubts are about a session. A new one has none. One that something went wrong
// with, or that is of an earlier process, is unsure until it was asked, and one that
// refuses more after that is given up.
type doubts struct {
	unsure      bool // it has to be asked what it has
	inherited   bool // it is of an earlier process, and was not asked yet
	asked       bool // it refused something, was asked, and has taken nothing since
	unconfirmed bool // the registry may be making a blob of it
}

func (u *upload) habits() habits { return u.repo.client.habitsOf(u.repo.ref.Registry) }

func (u *upload) learn(change func(*habits)) { u.repo.client.learn(u.repo.ref.Registry, change) }

// run sends the blob, and says whether it turned out to be there without that.
func (u *upload) run(ctx context.Context) (present bool, err error) {
	if u.inChunks() {
		u.claim = u.repo.client.claim("upload", u.repo.ref.Name(), u.desc.Digest.String())
		u.session = u.repo.remembered(ctx, u.claim)
		u.unsure = u.session != nil
		u.inherited = u.unsure
	}
	err = u.persist(withOnce(ctx))
	if u.claim != nil {
		u.claim.Release(err == nil || u.session == nil)
	}
	if err == nil && u.sentByHabit() {
		u.repo.client.keepHabits(u.repo.ref.Registry)
	}
	return u.mounted, err
}

// sentByHabit says whether what was learnt of the registry made a difference to
// how the blob was sent.
func (u *upload) sentByHabit() bool { return u.session != nil && u.desc.Size > u.chunk() }

// persist tries until the blob is there, or there is no sense in it any more.
func (u *upload) persist(ctx context.Context) error {
	for {
		err := u.attempt(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			err = u.consider(ctx, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		if u.failures == 0 {
			continue
		}
		wait := backoff(u.failures)
		u.repo.client.notices.waiting(ctx, u.repo.ref.Registry, wait, u.why)
		if err := u.repo.client.sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// attempt goes on until something fails.
func (u *upload) attempt(ctx context.Context) error {
	if u.unsure {
		if done, err := u.settle(ctx); done || err != nil {
			return err
		}
	}
	if err := u.broken(u.desc.Size, u.why); err != nil {
		return err
	}
	if u.session == nil {
		if err := u.begin(ctx); u.mounted || err != nil {
			return err
		}
	}
	for u.inChunks() && u.session.offset < u.desc.Size {
		if err := u.sendChunk(ctx); err != nil {
			return err
		}
	}
	return u.finish(ctx)
}

// settle finds out how far an upload got that was interrupted, in this process or
// in one before it.
func (u *upload) settle(ctx context.Context) (done bool, err error) {
	if u.failures > 0 {
		if done, err := u.look(ctx); done || err != nil {
			return done, err
		}
	}
	before := u.session.offset
	switch err := u.locate(ctx); {
	case errors.Is(err, errGone), err != nil && ctx.Err() == nil && u.failures >= sessionAttempts:
		if done, err := u.awaitBlob(ctx); done || err != nil {
			return done, err
		}
		u.restart(before > 0)
	case err != nil:
		return false, err
	default:
		u.adopt(u.session.offset)
		u.advance(u.session.offset)
		// It may be taking in still what an earlier process sent.
		u.asked = u.asked && u.session.offset == before
	}
	u.unsure = false
	return false, nil
}

// look says whether the blob is there all the same: the answer may be what was
// lost.
func (u *upload) look(ctx context.Context) (bool, error) {
	present, err := u.repo.has(ctx, u.desc)
	if present {
		u.adopt(u.desc.Size)
	}
	return present, err
}

// awaitBlob gives a registry time to make a blob of what it has.
func (u *upload) awaitBlob(ctx context.Context) (bool, error) {
	if !u.unconfirmed {
		return false, nil
	}
	for n := range min(leastLooks+u.desc.Size/lookBytes, mostLooks) {
		if err := u.repo.client.sleep(ctx, backoff(int(n)+1)); err != nil {
			return false, err
		}
		if done, err := u.look(ctx); done || err != nil {
			return done, err
		}
	}
	return false, nil
}

// locate asks the session, if it is one that can be asked.
func (u *upload) locate(ctx context.Context) error {
	if u.session == nil || u.habits().Whole {
		return errGone
	}
	return u.session.locate(ctx, u.desc.Size)
}

// restart gives the session up, and what it had.
func (u *upload) restart(lost bool) {
	if lost && !u.habits().Whole {
		u.learn(func(h *habits) { h.Forgets = true })
	}
	u.session, u.doubts = nil, doubts{}
	u.adopt(0)
}

// adopt makes n the number of bytes that are there. Those that an earlier process
// sent come first.
func (u *upload) adopt(n int64) {
	resumed := min(u.resumed, n)
	if u.inherited {
		resumed, u.inherited = n, false
	}
	u.report(n-resumed-u.safe, resumed-u.resumed)
	u.safe, u.resumed = n-resumed, resumed
	u.found(n)
}

// advance renews patience for what goes beyond all that was reached before. To get
// there once more, after a session was lost, is no progress.
func (u *upload) advance(offset int64) {
	if offset > u.best {
		u.progress(int(offset - u.best))
		u.best = offset
	}
}

// begin opens a session, unless the registry has the blob in another repository.
func (u *upload) begin(ctx context.Context) (err error) {
	u.session, err = u.repo.openSession(ctx, u.desc, u.from)
	if err != nil {
		return err
	}
	u.from, u.mounted = "", u.session == nil
	return nil
}

// inChunks says whether the blob is sent in pieces. What is left of one that was
// interrupted is.
func (u *upload) inChunks() bool {
	if u.distrusted || u.habits().Whole {
		return false
	}
	return u.desc.Size > u.chunk() || u.session != nil && u.session.offset > 0
}

// chunk is how much is sent at once.
func (u *upload) chunk() int64 {
	size := u.repo.client.chunk
	if learnt := u.habits().Chunk; learnt > 0 {
		size = min(size, learnt)
	}
	if u.session != nil {
		size = max(size, u.session.least)
	}
	return size
}

// sendChunk sends the next piece.
func (u *upload) sendChunk(ctx context.Context) error {
	s := u.session
	s.remember(u.claim)
	u.last, u.chunked = min(u.chunk(), u.desc.Size-s.offset), true
	if err := u.send(func(body *outgoing) error { return s.append(ctx, body) }); err != nil {
		return err
	}
	u.asked, u.taken = false, s.offset
	u.advance(s.offset)
	u.learn(func(h *habits) { h.Chunks = true })
	return nil
}

// finish sends what is left, and has the registry make a blob of it.
func (u *upload) finish(ctx context.Context) error {
	s := u.session
	s.remember(u.claim)
	u.last, u.chunked = u.desc.Size-s.offset, false
	return u.send(func(body *outgoing) error {
		err := s.commit(ctx, u.desc.Digest, body)
		u.unconfirmed = err != nil && body.gone() && leavesOpen(err)
		if isSuccess(err) {
			u.taken = u.desc.Size
		}
		return err
	})
}

// send sends the next bytes by means of by, and reports them.
func (u *upload) send(by func(*outgoing) error) error {
	body := &outgoing{src: u.src, off: u.session.offset, n: u.last, report: func(n int64) { u.report(n, 0) }}
	if err := by(body); err != nil {
		u.blame(err, body.takeBack())
		return err
	}
	body.complete()
	u.safe += u.last
	return nil
}
