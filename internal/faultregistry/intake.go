package faultregistry

import (
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"time"
)

// What ends the reading of a body before its end.
var (
	errStopped  = errors.New("a fault is due")
	errTooLarge = errors.New("the body is larger than it may be")
	errGone     = errors.New("nobody waits for the answer")
)

// drainMost is how much of a body is read though nobody wants it, so that the
// connection can be used again; net/http has the same bound.
const drainMost = 256 << 10

// lingerAtMost is how long a client that still sends may take to read an answer.
const lingerAtMost = 5 * time.Second

// intake is the body of a request, whose bytes are counted as they come.
type intake struct {
	io.ReadCloser
	x        *exchange
	declared int64 // negative if the length is not told
	read     int64
	ended    bool  // came whole
	failed   error // came in part
}

// newIntake is nil for a request without a body. The request's own body stays
// where it is: net/http looks at its type.
func newIntake(x *exchange) *intake {
	if x.req.Body == nil || x.req.Body == http.NoBody {
		return nil
	}
	in := &intake{ReadCloser: x.req.Body, x: x, declared: x.req.ContentLength}
	x.req = x.req.WithContext(x.req.Context())
	x.req.Body = in
	return in
}

// Read counts.
func (in *intake) Read(p []byte) (int, error) {
	n, err := in.ReadCloser.Read(p)
	in.read += int64(n)
	in.x.reg.journal.receive(in.x.Request, n)
	switch {
	case err == io.EOF:
		in.ended = true
	case err != nil:
		in.failed = err
	}
	return n, err
}

// resolve makes an offset from the end one from the start, which is negative if
// there is no such place.
func (in *intake) resolve(at int64) int64 {
	switch {
	case at >= 0:
		return at
	case in.declared < 0:
		return -1
	default:
		return in.declared + at
	}
}

// reaches says that n bytes, counted as Within counts them, can come.
func (in *intake) reaches(n int64) bool {
	at := in.resolve(n)
	return at >= 0 && (in.declared < 0 || at <= in.declared)
}

// bound refuses a body that is too large by what is declared, and bounds one
// that does not tell.
func (x *exchange) bound(n int64, refused *reply) bool {
	if n <= 0 || x.body == nil {
		return true
	}
	if x.body.declared > n {
		x.abrupt = true
		return false
	}
	if x.most == 0 || n < x.most {
		x.most, x.tooLarge = n, refused
	}
	return true
}

func tooLarge() *reply {
	return document(http.StatusRequestEntityTooLarge, "text/html", []byte("<html><h1>413 Request Entity Too Large</h1></html>\n"))
}

// takeBody reads the body into w, at the speed that the faults allow and up to
// where one of them is due. No error says that it came whole.
func (x *exchange) takeBody(w io.Writer) error {
	if x.body == nil {
		return nil
	}
	stop := x.firstStop()
	buf := make([]byte, x.reply.portion())
	for x.body.read < stop {
		n, err := x.body.fill(buf[:min(int64(len(buf)), stop-x.body.read)])
		if x.most > 0 && x.body.read > x.most {
			return errTooLarge
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		if x.body.read >= stop {
			break
		}
		if err != nil || x.body.ended {
			return err
		}
		if !x.holdBack(int64(n)) || x.reply.step > 0 && !x.await(x.reply.wait) {
			return errGone
		}
	}
	return errStopped
}

// fill reads until p is full or nothing more comes, which is no error if the
// body is whole.
func (in *intake) fill(p []byte) (int, error) {
	n, err := io.ReadFull(in, p)
	if in.ended {
		return n, nil
	}
	return n, err
}

// firstStop is where the first fault is due that waits for a part of the body.
func (x *exchange) firstStop() int64 {
	stop := int64(math.MaxInt64)
	for _, h := range x.within {
		stop = min(stop, h.at)
	}
	return stop
}

// settle makes up for a body that nobody read: it is read, or else the answer
// is the last on its connection, and unread is true.
func (x *exchange) settle() (unread bool) {
	in := x.body
	if in == nil || in.ended {
		return false
	}
	waits := x.req.Header.Get("Expect") != "" && in.read == 0 // nothing of it is under way
	if !x.abrupt && !waits && in.declared >= 0 && in.declared-in.read <= drainMost {
		io.Copy(io.Discard, in)
	}
	if !in.ended {
		x.reply.header.Set("Connection", "close")
	}
	return !in.ended
}

// linger closes a connection once the client has done so. To close it while
// bytes are coming in would be a reset, which can destroy the answer before the
// client has read it. It reads slowly, as not to invite more.
func (x *exchange) linger() {
	x.flush()
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	defer x.closeAtEnd(conn)()
	conn = rawConn(conn)
	conn.SetDeadline(time.Now().Add(lingerAtMost))
	buf := make([]byte, 4<<10)
	for err == nil {
		var n int
		n, err = conn.Read(buf)
		x.reg.journal.discard(x.Request, n)
		x.rest(time.Millisecond)
	}
}

// closeAtEnd closes a hijacked connection when the registry ends, unless the
// function that it returns was called: nobody else does.
func (x *exchange) closeAtEnd(conn net.Conn) func() {
	done := make(chan struct{})
	go func() {
		select {
		case <-x.reg.ends:
			conn.Close()
		case <-done:
		}
	}()
	return func() { close(done) }
}

// rawConn is what lies under TLS, if there is TLS.
func rawConn(conn net.Conn) net.Conn {
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok {
		return wrapped.NetConn()
	}
	return conn
}
