package faultregistry

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// reply is what will be answered, before and after the faults change it.
type reply struct {
	status int
	header http.Header

	// The body is length bytes of source from first on; whole is the content
	// that they are a part of.
	source        io.ReaderAt
	first, length int64
	whole         Content

	chunked  bool  // Content-Length is left out
	misstate int64 // Content-Length is off by so much

	ending *ending // nil for the proper one
	step   int64   // if > 0, wait after so many bytes each time
	wait   <-chan struct{}
	limits []*limiter

	handler http.Handler // answers instead of all this, if there is one
}

// document is a reply with all of data.
func document(status int, mediaType string, data []byte) *reply {
	return &reply{
		status: status,
		header: http.Header{"Content-Type": {mediaType}},
		source: bytes.NewReader(data),
		length: int64(len(data)),
	}
}

// refusal is an error as the distribution spec has it.
func refusal(status int, code, message string) *reply {
	body := map[string]any{"errors": []map[string]string{{"code": code, "message": message}}}
	return document(status, "application/json", marshal(body))
}

// say sets a header field, or takes it away if there is nothing to say.
func (r *reply) say(name, text string) {
	r.header.Set(name, text)
	if text == "" {
		r.header.Del(name)
	}
}

// turn makes another reply of this one. How it is sent stays, but what is no
// success is not interrupted.
func (r *reply) turn(into *reply) {
	into.step, into.wait, into.limits = r.step, r.wait, r.limits
	if into.ok() || r.ending != nil && r.ending.at == BeforeHeader {
		into.ending = r.ending
	}
	*r = *into
}

// widen makes the reply one for the whole blob.
func (r *reply) widen() {
	r.status = http.StatusOK
	r.first, r.length = 0, r.whole.Size()
	r.header.Del("Content-Range")
}

// ok says that the reply has what was asked for.
func (r *reply) ok() bool { return r.status >= 200 && r.status < 300 }

// partial says that it is a range.
func (r *reply) partial() bool { return r.status == http.StatusPartialContent }

// serveContent is a reply with all of a blob.
func serveContent(content Content, d digest.Digest) *reply {
	return &reply{
		status: http.StatusOK,
		header: http.Header{
			"Content-Type":          {"application/octet-stream"},
			"Docker-Content-Digest": {d.String()},
			"Etag":                  {strconv.Quote(d.String())},
			"Accept-Ranges":         {"bytes"},
		},
		source: content,
		length: content.Size(),
		whole:  content,
	}
}

// narrow makes the reply one for the range that is asked for, if it is one that
// can be served.
func (r *reply) narrow(header http.Header) {
	if condition := header.Get("If-Range"); condition != "" && condition != r.header.Get("Etag") {
		return
	}
	first, last, ok := parseRange(header.Get("Range"), r.whole.Size())
	switch {
	case !ok:
	case first > last:
		r.turn(unsatisfiable(r.whole.Size()))
	default:
		r.status = http.StatusPartialContent
		r.take(first, last)
	}
}

func unsatisfiable(size int64) *reply {
	r := refusal(http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID", "the range is beyond the blob")
	r.header.Set("Content-Range", fmt.Sprintf("bytes */%d", size))
	return r
}

// take makes the reply these bytes, and says so.
func (r *reply) take(first, last int64) {
	r.first, r.length = first, last-first+1
	r.header.Set("Content-Range", contentRange(first, last, r.whole.Size()))
}

// last is the last byte of the blob that is in the reply.
func (r *reply) last() int64 { return r.first + r.length - 1 }

// covers says that a byte of the blob is in the reply.
func (r *reply) covers(at int64) bool { return at >= r.first && at <= r.last() }

func contentRange(first, last, total int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", first, last, total)
}

// parseRange returns the bytes that a Range header asks for, where first > last
// if there are none of them. It is not ok for anything but one range of bytes,
// which servers ignore.
func parseRange(header string, size int64) (first, last int64, ok bool) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	from, to, dash := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok || !dash {
		return 0, 0, false
	}
	if from == "" {
		n, err := parseOffset(to)
		return max(0, size-n), size - 1, err == nil
	}
	first, err := parseOffset(from)
	if err != nil {
		return 0, 0, false
	}
	last, err = parseOffset(to)
	if to == "" {
		last, err = size-1, nil
	}
	if err != nil || to != "" && last < first {
		return 0, 0, false
	}
	return first, min(last, size-1), true
}

// parseOffset takes digits alone.
func parseOffset(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || n == math.MaxInt64 {
		return 0, fmt.Errorf("parsing offset %q: not a number of bytes", s)
	}
	return int64(n), nil
}
