package sqlstore

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// cut is where a proxy ends a connection.
type cut int

const (
	cutNone      cut = iota
	cutBegun         // the server has begun a transaction; its answer is lost
	cutUnsent        // the client has sent the end of the transaction, COMMIT with it; it never arrives
	cutLate          // the same, but it arrives when the test releases it
	cutCommitted     // the server has committed; its answer is lost
)

// proxy is a network between a store and PostgreSQL that breaks where it is told to, once.
type proxy struct {
	url      string
	target   string
	listener net.Listener
	end      []byte // is in what the client sends with COMMIT

	mu      sync.Mutex
	next    cut
	happens chan struct{} // closed when it has happened
	release chan struct{} // of cutLate
}

func startProxy(t *testing.T, database string) *proxy {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p := &proxy{target: u.Host, listener: l, end: []byte(`{"credential":`)} // an event: not a statement that is only compiled
	u.Host = l.Addr().String()
	p.url = u.String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p
}

// arm tells where to cut next. The channels are closed when it has happened, and by the test for what is late.
func (p *proxy) arm(c cut) (happens <-chan struct{}, release chan<- struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next, p.happens, p.release = c, make(chan struct{}), make(chan struct{})
	return p.happens, p.release
}

// hit reports whether c is where to cut now.
func (p *proxy) hit(c ...cut) (cut, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range c {
		if p.next == c {
			p.next = cutNone
			close(p.happens)
			return c, p.release
		}
	}
	return cutNone, nil
}

// serve carries one connection. Messages of the server are a letter, the length with itself in 32 bits (big-endian), and the rest: "C" is
// the end of a statement, with its name, and "Z" of all that was sent together, with "T" inside of a transaction.
// Source: PostgreSQL documentation, 55.7.
func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	gone := make(chan struct{}) // closed when the server has ended
	defer close(gone)
	open := make(chan bool, 1) // true: the client may send the end of a transaction now
	open <- false
	go func() {
		defer server.Close()
		b := make([]byte, 1<<16)
		for {
			n, err := client.Read(b)
			inside := <-open
			open <- false
			if inside && bytes.Contains(b[:n], p.end) {
				if c, release := p.hit(cutUnsent, cutLate); c != cutNone {
					_ = client.Close()
					if c == cutLate {
						<-release
						_, _ = server.Write(b[:n])
						_ = server.(*net.TCPConn).CloseWrite()
						<-gone
					}
					return
				}
			}
			if _, e := server.Write(b[:n]); e != nil || err != nil {
				return
			}
		}
	}()
	head := make([]byte, 5)
	for {
		if _, err := io.ReadFull(server, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(server, body); err != nil {
			return
		}
		lost := cutNone
		switch {
		case head[0] == 'C' && bytes.Equal(body, []byte("BEGIN\x00")):
			lost, _ = p.hit(cutBegun)
		case head[0] == 'C' && bytes.Equal(body, []byte("COMMIT\x00")):
			lost, _ = p.hit(cutCommitted)
		}
		if lost != cutNone {
			_ = server.Close()
			return
		}
		if head[0] == 'Z' {
			<-open
			open <- body[0] == 'T'
		}
		if _, err := client.Write(append(head, body...)); err != nil {
			_, _ = io.Copy(io.Discard, server)
			return
		}
	}
}
