package faultregistry

import (
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
)

// BeforeHeader is the offset of what happens before anything is answered.
const BeforeHeader = math.MinInt64

// chunk is the most that is written at a time.
const chunk = 64 << 10

// exchange is one request and its answer on their way.
type exchange struct {
	*Request
	reg   *Registry
	w     http.ResponseWriter
	req   *http.Request
	body  *intake // nil for none
	reply *reply

	// effect is what else comes of the request, nil for nothing.
	effect   *effect
	most     int64 // bytes of a body, 0 for any number
	tooLarge *reply

	// session is the upload that it is about.
	session   *session
	turn      int             // in the session
	overtaken <-chan struct{} // by another request
	before    int64           // bytes that were there
	locates   bool            // its answer tells a Location that the upload goes on at

	// What the faults want.
	within, late       []happening
	pauses             []<-chan struct{}
	rewrites, keepsTag bool

	admitted   bool // is in the journal's count
	turnedAway bool // for want of credentials
	begun      bool // a header was written
	abrupt     bool // the rest of the body is not waited for
}

// ending is another end than the proper one, after so many bytes.
type ending struct {
	at int64
	do func(*exchange)
}

// hasBody says that bytes follow the header.
func (x *exchange) hasBody() bool { return x.Method != http.MethodHead && x.reply.length > 0 }

// send gives the answer.
func (x *exchange) send() {
	r := x.reply
	switch {
	case r.handler != nil:
		r.handler.ServeHTTP(&recorder{x.w, x}, x.req)
	case r.ending != nil && r.ending.at == BeforeHeader:
		r.ending.do(x)
	case r.misstate < 0 && x.hasBody():
		x.sendByHand()
	default:
		unread := x.settle()
		x.sendHeader()
		x.sendBody(&recorder{x.w, x})
		if unread {
			x.linger()
		}
	}
}

func (x *exchange) sendHeader() {
	x.describeBody()
	x.reg.journal.answer(x.Request, x.reply.status)
	for name, values := range x.reply.header {
		x.w.Header()[name] = values
	}
	x.w.WriteHeader(x.reply.status)
	x.begun = true
}

// describeBody sets Content-Length, whose absence makes the body chunked.
func (x *exchange) describeBody() {
	r := x.reply
	if !r.chunked && r.status != http.StatusNoContent {
		r.header.Set("Content-Length", strconv.FormatInt(r.length+r.misstate, 10))
	}
}

// sendBody writes what there is to write, and ends as it should.
func (x *exchange) sendBody(out io.Writer) {
	r := x.reply
	if r.chunked || r.ending != nil || r.step > 0 {
		x.flush() // the client has the header, whatever comes
	}
	if !x.hasBody() {
		return
	}
	if !x.copyBody(out, r.until()) {
		x.hangUp(false)
		return
	}
	if r.ending != nil {
		x.flush()
		r.ending.do(x)
	}
}

// until is how many bytes of the body are sent.
func (r *reply) until() int64 {
	if r.ending == nil {
		return r.length
	}
	return min(max(0, r.resolve(r.ending.at)), r.length)
}

// resolve makes an offset from the end one from the start.
func (r *reply) resolve(at int64) int64 {
	if at < 0 {
		return r.length + at
	}
	return at
}

// copyBody says whether it wrote all, or somebody went away.
func (x *exchange) copyBody(out io.Writer, limit int64) bool {
	r := x.reply
	size := r.portion()
	buf := make([]byte, min(size, limit))
	for sent := int64(0); sent < limit; {
		p := buf[:min(size, limit-sent)]
		if n, err := r.source.ReadAt(p, r.first+sent); n < len(p) {
			panic(fmt.Sprintf("reading content of a test at %d: %v", r.first+sent, err))
		}
		if !x.holdBack(int64(len(p))) {
			return false
		}
		if _, err := out.Write(p); err != nil {
			return false
		}
		sent += int64(len(p))
		if !x.awaitNext() {
			return false
		}
	}
	return true
}

// portion is how much is written at a time.
func (r *reply) portion() int64 {
	size := int64(chunk)
	if r.step > 0 {
		size = min(size, r.step)
	}
	for _, limit := range r.limits {
		size = min(size, max(1, limit.rate/100))
	}
	return size
}

// holdBack waits until n bytes may pass.
func (x *exchange) holdBack(n int64) bool {
	for _, limit := range x.reply.limits {
		if !x.rest(limit.pass(n)) {
			return false
		}
	}
	return true
}

// awaitNext waits until a trickle may go on.
func (x *exchange) awaitNext() bool {
	if x.reply.step == 0 {
		return true
	}
	x.flush()
	return x.await(x.reply.wait)
}

// sendByHand writes more than Content-Length says, which net/http would not.
func (x *exchange) sendByHand() {
	conn, out, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	defer x.closeAtEnd(conn)()
	x.describeBody()
	x.reg.journal.answer(x.Request, x.reply.status)
	fmt.Fprintf(out, "HTTP/1.1 %d %s\r\n", x.reply.status, http.StatusText(x.reply.status))
	x.reply.header.Write(out)
	io.WriteString(out, "\r\n")
	if out.Flush() == nil {
		x.copyBody(&counter{conn, x}, x.reply.until())
	}
}

// flush sends what net/http still holds.
func (x *exchange) flush() { http.NewResponseController(x.w).Flush() }

// hangUp closes the connection under everything: with a reset, or as a process
// that ends does, and never with TLS's word that this was the end.
func (x *exchange) hangUp(reset bool) {
	if x.begun {
		x.flush()
	}
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return
	}
	conn = rawConn(conn)
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		tcp.SetLinger(0)
	}
	conn.Close()
}

// hang keeps the client waiting until it goes away or the test ends.
func (x *exchange) hang() {
	x.await(nil)
	x.hangUp(false)
}

// counter counts what is written, before it is.
type counter struct {
	io.Writer
	x *exchange
}

func (c *counter) Write(p []byte) (int, error) {
	c.x.reg.journal.count(c.x.Request, len(p))
	n, err := c.Writer.Write(p)
	c.x.reg.journal.count(c.x.Request, n-len(p))
	return n, err
}

// recorder is a response writer that tells the journal.
type recorder struct {
	http.ResponseWriter
	x *exchange
}

// Unwrap gives a handler what net/http can do.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader notes the status.
func (r *recorder) WriteHeader(status int) {
	r.x.reg.journal.answer(r.x.Request, status)
	r.x.begun = true
	r.ResponseWriter.WriteHeader(status)
}

// Write counts.
func (r *recorder) Write(p []byte) (int, error) {
	if !r.x.begun {
		r.WriteHeader(http.StatusOK)
	}
	return (&counter{r.ResponseWriter, r.x}).Write(p)
}
