package netproxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
)

// maxHead is the most that is read of a client before it has said where it wants
// to go.
const maxHead = 64 << 10

// asked reads where a client of an HTTP proxy wants to go, and returns what the
// client has to say there. A request that names its host in full goes on as it
// is: servers have to understand it.
func asked(client net.Conn) (host string, from io.Reader, err error) {
	in := bufio.NewReaderSize(client, maxHead)
	head, err := peekHead(in)
	if err != nil {
		return "", nil, err
	}
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	if err != nil {
		return "", nil, err
	}
	if req.Method != http.MethodConnect {
		if req.URL.Port() == "" {
			return net.JoinHostPort(req.URL.Hostname(), "80"), in, nil
		}
		return req.URL.Host, in, nil
	}
	if _, err := in.Discard(len(head)); err != nil {
		return "", nil, err
	}
	_, err = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	return req.Host, in, err
}

// peekHead returns the head of a request without taking it away.
func peekHead(in *bufio.Reader) (string, error) {
	for n := 1; n <= maxHead; n = in.Buffered() + 1 {
		if _, err := in.Peek(n); err != nil {
			return "", err
		}
		have, _ := in.Peek(in.Buffered())
		if head, _, ok := strings.Cut(string(have), "\r\n\r\n"); ok {
			return head + "\r\n\r\n", nil
		}
	}
	return "", errors.New("the head of the request does not end")
}
