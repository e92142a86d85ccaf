package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
)

// unsolicited is what [chatty] says when nobody asked.
const unsolicited = "HTTP/1.1 200 OK\r\nX-Junk: s3cret\r\n\r\n"

// chatty is a server that finds nothing, and has more to say on a connection of
// which the client believes that it is idle. It answers on the next one when the
// client has closed that: then whatever is to be said about it has been said.
func chatty(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	var answering sync.Mutex
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				answering.Lock()
				defer answering.Unlock()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil { // TLS, perhaps
					io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
					return
				}
				io.WriteString(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"+unsolicited)
				io.Copy(io.Discard, conn)
			}()
		}
	}()
	return listener.Addr().String()
}
