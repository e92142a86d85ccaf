package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/tareml/tare/blob"
)

// consider decides what a failure means for what comes next. It returns an error
// if nothing does.
func (u *upload) consider(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*sourceError](err); ok {
		return err
	}
	u.why = err.Error()
	if u.adapt(err) {
		return nil
	}
	if errors.Is(err, blob.ErrMismatch) {
		return u.distrust(ctx, err)
	}
	switch {
	case passing(err) || errors.Is(err, errAdmitted) && u.failures < maxSends:
		u.unsure = u.session != nil
	case u.session != nil && (isSessionError(err) || u.refusedChunk(err)):
		u.doubt()
	default:
		return err
	}
	u.gained = 0
	if u.failures++; u.failures < uploadAttempts && (u.times > 0 || !u.exhausted(u.desc.Size)) {
		return nil
	}
	err = fmt.Errorf("gave up after %d attempts in a row: %w", u.failures, err)
	if u.best > 0 {
		return hinted(err, "it had begun to arrive: the same command goes on with what the registry keeps of it")
	}
	return err
}

// doubt is for a session that refused something: it may have more bytes or fewer
// than was thought, and is asked. It is given up if it was asked already, and if it
// has none that would be lost.
func (u *upload) doubt() {
	if u.asked || u.chunked && u.session.offset == 0 {
		u.restart(u.safe+u.resumed > 0)
		return
	}
	u.unsure, u.asked = true, true
}

// blame notes whose fault it is that a body of which so much was sent is not where
// it should be. Small blobs cost little, however often they are refused.
func (u *upload) blame(err error, sent int64) {
	switch {
	case u.last > 0 && (passing(err) && !isFault(err) || errors.Is(err, errAdmitted)):
		u.cut = true
	case isSessionError(err) && u.desc.Size > min(u.chunk(), minChunk):
		u.refused += sent
	}
}

// isFault says whether err is an answer of the registry itself that has no other
// reason than the registry.
func isFault(err error) bool {
	return isSuccess(err) || hasStatus(err, http.StatusInternalServerError, http.StatusInsufficientStorage)
}

// isSuccess says whether err is about an answer that was good, but not the one
// that was wanted.
func isSuccess(err error) bool {
	p, ok := errors.AsType[*problem](err)
	return ok && p.status/100 == 2
}

// leavesOpen says whether a request that ended like this may have taken effect.
func leavesOpen(err error) bool {
	return passing(err) && !hasStatus(err, http.StatusTooManyRequests, http.StatusServiceUnavailable)
}

// isSessionError says whether another session may work where one did not.
func isSessionError(err error) bool {
	return hasStatus(err, http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable, http.StatusConflict) ||
		hasCode(err, "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "SIZE_INVALID", "RANGE_INVALID")
}

// adapt changes the way of sending to one that the registry takes, if there is
// another.
func (u *upload) adapt(err error) bool {
	s := u.session
	switch {
	case s == nil || u.distrusted:
		return false
	case u.refusedChunk(err) && u.takesNoChunks(err):
		u.learn(func(h *habits) { h.Whole = true })
		u.restart(false)
		return true
	case u.habits().Whole:
		return false
	case hasStatus(err, http.StatusRequestEntityTooLarge) && u.last > max(minChunk, s.least):
		u.learn(func(h *habits) { h.shrink(u.last) })
		u.unsure = true
		return true
	}
	return false
}

// refusedChunk says whether err is how a registry may refuse any chunk.
func (u *upload) refusedChunk(err error) bool {
	return u.chunked && !u.habits().Chunks && (noMethod(err) || hasStatus(err, http.StatusBadRequest, http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable))
}

// takesNoChunks says whether err, which may be about chunks, cannot well be about
// the session: it is new, or chunks are not even known of. A new session that is
// lost is not the fault of the chunk, unless it happens again.
func (u *upload) takesNoChunks(err error) bool {
	if u.habits().Whole || noMethod(err) {
		return true
	}
	if hasCode(err, "BLOB_UPLOAD_UNKNOWN") && !u.lost {
		u.lost = true
		return false
	}
	return u.session.sends == 1
}

// noMethod says whether err is how a server refuses what it does not know.
func noMethod(err error) bool {
	return hasStatus(err, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType, http.StatusNotImplemented)
}

// distrust begins anew, and in one piece, if the registry refuses what arrived
// although the source is what it should be.
func (u *upload) distrust(ctx context.Context, refused error) error {
	if u.distrusted {
		return refused
	}
	content, err := blob.NewReader(io.NewSectionReader(u.src, 0, u.src.Size()), u.desc)
	if err != nil {
		return err
	}
	if err := drain(ctx, content); err != nil {
		return hinted(fmt.Errorf("what is to be sent is damaged: %w", err), "tare verify sets aside what is damaged; then build or pull it again")
	}
	u.restart(false)
	u.distrusted = true
	return nil
}

// drain reads r to its end, or until ctx ends.
func drain(ctx context.Context, r io.Reader) error {
	buffer := make([]byte, 256<<10)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch _, err := r.Read(buffer); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// hasCode says whether err is an answer with one of these error codes.
func hasCode(err error, codes ...string) bool {
	p, ok := errors.AsType[*problem](err)
	return ok && slices.Contains(codes, p.code)
}
