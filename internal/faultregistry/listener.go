package faultregistry

import (
	"net"
	"sync"
)

// kernelBuffer bounds what the kernel takes of an answer that nobody reads, and
// of a body, so that the counts of bytes mean something.
const kernelBuffer = 128 << 10

// listener counts connections and refuses some.
type listener struct {
	net.Listener

	mu       sync.Mutex
	accepted int
	refuse   int
}

// Accept returns the next connection that is not refused.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.admits() {
			tcp := conn.(*net.TCPConn)
			tcp.SetWriteBuffer(kernelBuffer)
			tcp.SetReadBuffer(kernelBuffer)
			return conn, nil
		}
		conn.Close()
	}
}

func (l *listener) admits() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted++
	if l.refuse > 0 {
		l.refuse--
		return false
	}
	return true
}

func (l *listener) refuseNext(k int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = k
}

func (l *listener) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accepted
}
