package faultregistry

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
)

// leaks is what was seen by somebody whom it did not concern.
type leaks struct {
	mu   sync.Mutex
	seen []string
}

// Leaked tells which requests at the bucket carried an Authorization or a
// Cookie, which are the registry's own business, and whether somebody spoke to a
// TLS port in the clear.
func (r *Registry) Leaked() []string {
	r.leaks.mu.Lock()
	defer r.leaks.mu.Unlock()
	return slices.Clone(r.leaks.seen)
}

func (l *leaks) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, fmt.Sprintf(format, args...))
}

// Write takes what a server complains of. Nothing else is of interest: there
// are clients that refuse the certificate.
func (l *leaks) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("sent an HTTP request to an HTTPS server")) {
		l.add("a request in the clear at the TLS port")
	}
	return len(line), nil
}
