package registry

import (
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/tareml/tare/blob"
)

// errOver is what a reader of the body gets when nobody waits for that any more.
var errOver = errors.New("the request is over")

// outgoing is a part of a source as the body of a request, which can be read from
// its start as often as it takes. It reports what the newest of its readers has
// given away.
type outgoing struct {
	src    blob.Source
	off, n int64
	report func(int64)

	mu   sync.Mutex
	body *outgoingBody // the newest
	sent int64
	err  error
}

// attach makes o the body of req.
func (o *outgoing) attach(req *http.Request) (err error) {
	if o.n == 0 {
		req.Body, req.GetBody = http.NoBody, func() (io.ReadCloser, error) { return http.NoBody, nil }
		return nil
	}
	req.ContentLength = o.n
	req.GetBody = o.open
	req.Body, err = o.open()
	return err
}

func (o *outgoing) open() (io.ReadCloser, error) {
	o.takeBack()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.body = &outgoingBody{owner: o, section: io.NewSectionReader(o.src, o.off, o.n)}
	return o.body, nil
}

// takeBack reports that what was sent so far is lost, and how much that is, and
// ends the reading.
func (o *outgoing) takeBack() (sent int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	sent = o.sent
	o.report(-sent)
	o.sent, o.body = 0, nil
	return sent
}

// complete reports that all of it was taken, read or not, and ends the reading.
func (o *outgoing) complete() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.report(o.n - o.sent)
	o.sent, o.body = o.n, nil
}

// gone says whether all of the body was given away.
func (o *outgoing) gone() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent == o.n
}

// failed is the error with which the source could not be read.
func (o *outgoing) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// read is for the newest body alone: the source may be closed when that is over.
func (o *outgoing) read(body *outgoingBody, p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.body != body {
		return 0, errOver
	}
	n, err := body.section.Read(p)
	o.sent += int64(n)
	switch {
	case err == io.EOF && o.sent < o.n:
		o.err = io.ErrUnexpectedEOF
	case err != nil && err != io.EOF:
		o.err = err
	}
	o.report(int64(n))
	return n, err
}

// outgoingBody is one pass over the part.
type outgoingBody struct {
	owner   *outgoing
	section *io.SectionReader
}

func (b *outgoingBody) Read(p []byte) (int, error) { return b.owner.read(b, p) }

func (b *outgoingBody) Close() error { return nil }
