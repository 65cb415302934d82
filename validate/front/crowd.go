package front

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"

	"github.com/tokendesk/tokendesk/validate/caller"
)

// shareOf is the part of all places that one source may take.
const shareOf = 4

// crowd is all connections. It is safe for concurrent use.
type crowd struct {
	most, share int
	free        func(source string) bool // nil: none
	full        func()                   // told when somebody came and there was no place; not while mu is held

	mu      sync.Mutex
	room    sync.Cond // somebody left, or began to wait, or it is over
	open    int
	waiting list.List // of *member, who has waited longest first
	sources map[string]*source
	// ending: the next answer of each connection is its last. over: nobody is let in any more.
	ending, over bool
}

// source is who connects from one address; IPv6 addresses count by their /64.
type source struct {
	key     string
	open    int
	waiting list.List // as crowd.waiting
}

// member is one connection.
type member struct {
	net.Conn
	crowd *crowd
	from  *source // nil: a free one
	// The places in the two lists; nil while busy or gone.
	all, own *list.Element
	gone     bool // closed, by whomever
}

func newCrowd(most int, free func(string) bool) *crowd {
	c := &crowd{most: most, share: max(1, most/shareOf), free: free, full: func() {}, sources: make(map[string]*source)}
	c.room.L = &c.mu
	return c
}

// gate is a listener whose connections belong to the crowd.
type gate struct {
	net.Listener
	crowd *crowd
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if m := g.crowd.admit(conn); m != nil {
			return m, nil
		}
		_ = conn.Close() // nothing was said
	}
}

// admit makes room for a connection; nil if its source has taken its share with busy ones, or it is over.
func (c *crowd) admit(conn net.Conn) *member {
	m := &member{Conn: conn, crowd: c}
	from := ""
	if a := m.RemoteAddr(); a != nil {
		from = caller.Source(a.String())
	}
	key, local := caller.Key(from)
	bounded := !local && (c.free == nil || !c.free(from))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open >= c.most {
		c.mu.Unlock()
		c.full()
		c.mu.Lock()
	}
	if s := c.sources[key]; bounded && s != nil && s.open >= c.share && !c.turnOut(&s.waiting) {
		return nil
	}
	for !c.over && c.open >= c.most && !c.turnOut(&c.waiting) {
		c.room.Wait()
	}
	if c.over {
		return nil
	}
	if bounded {
		if c.sources[key] == nil {
			c.sources[key] = &source{key: key}
		}
		m.from = c.sources[key]
		m.from.open++
	}
	c.open++
	c.wait(m)
	return m
}

// turnOut closes the connection that has waited longest; false if none waits. mu is held.
func (c *crowd) turnOut(waiting *list.List) bool {
	first := waiting.Front()
	if first == nil {
		return false
	}
	m := first.Value.(*member)
	c.leave(m)
	_ = m.Conn.Close() // it carries no request
	return true
}

// wait puts a member at the end of the lists. mu is held.
func (c *crowd) wait(m *member) {
	c.busy(m) // it is never in a list twice, whatever http.Server tells
	m.all = c.waiting.PushBack(m)
	if m.from != nil {
		m.own = m.from.waiting.PushBack(m)
	}
	c.room.Signal()
}

// busy takes a member out of the lists. mu is held.
func (c *crowd) busy(m *member) {
	if m.all != nil {
		c.waiting.Remove(m.all)
	}
	if m.own != nil {
		m.from.waiting.Remove(m.own)
	}
	m.all, m.own = nil, nil
}

// leave gives up the place of a member. mu is held.
func (c *crowd) leave(m *member) {
	c.busy(m)
	m.gone = true
	c.open--
	if s := m.from; s != nil {
		if s.open--; s.open == 0 {
			delete(c.sources, s.key)
		}
	}
	if c.ending {
		c.room.Broadcast()
	} else {
		c.room.Signal()
	}
}

// RemoteAddr implements net.Conn. Whoever comes by a Unix socket has none: the path that his own end is bound to is his choice, and may
// have the form of an address. Source: unix(7).
func (m *member) RemoteAddr() net.Addr {
	a := m.Conn.RemoteAddr()
	if u, ok := a.(*net.UnixAddr); ok && u != nil {
		return &net.UnixAddr{Net: u.Net}
	}
	return a
}

// Close implements net.Conn.
func (m *member) Close() error {
	m.crowd.mu.Lock()
	if !m.gone {
		m.crowd.leave(m)
	}
	m.crowd.mu.Unlock()
	return m.Conn.Close()
}

// end makes the next answer of each connection its last.
func (c *crowd) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ending = true
}

// await returns when all have left, or it is over.
func (c *crowd) await() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.open > 0 && !c.over {
		c.room.Wait()
	}
}

// hangUp closes whatever waits, and lets nobody in any more.
func (c *crowd) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.turnOut(&c.waiting) {
	}
	c.over = true
	c.room.Broadcast()
}

// memberKey is the key of a connection's member in a context.
type memberKey struct{}

// memberOf finds the member below TLS.
func memberOf(conn net.Conn) *member {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	m, _ := conn.(*member)
	return m
}

// context implements http.Server's ConnContext.
func (c *crowd) context(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, memberKey{}, memberOf(conn))
}

// state implements http.Server's ConnState: a connection is idle when the answer was sent.
func (c *crowd) state(conn net.Conn, s http.ConnState) {
	if m := memberOf(conn); m != nil && s == http.StateIdle {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !m.gone {
			c.wait(m)
		}
	}
}

// handler begins requests, but for those on connections that were closed meanwhile: their answer could not be sent.
func (c *crowd) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m, _ := r.Context().Value(memberKey{}).(*member); m != nil {
			began, last := c.begin(m)
			if !began {
				panic(http.ErrAbortHandler)
			}
			if last {
				w.Header().Set("Connection", "close")
			}
		}
		next.ServeHTTP(w, r)
	})
}

// begin reports whether a request may begin on the connection, and whether it is the last one there.
func (c *crowd) begin(m *member) (began, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !m.gone {
		c.busy(m)
	}
	return !m.gone, c.ending
}
