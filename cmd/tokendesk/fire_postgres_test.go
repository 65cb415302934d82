package main

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/validate/store/postgres/pgtest"
)

// TestServersUnderFireOnPostgres is TestServersUnderFire on one PostgreSQL, which is killed too, and loses its connections: all at once, or
// after it has heard the last word and before it is heard.
func TestServersUnderFireOnPostgres(t *testing.T) {
	t.Parallel()
	database := pgtest.Start(t)
	cable := newCable(t, mustParse(t, database.NewDatabase(t)))
	r := newRig(t, 2)
	r.remote(cable.url)
	f := newFire(t, r, 3)
	f.hurts = append(f.hurts, []hurt{
		{"database", 2, func() error {
			database.Kill(t)
			f.rest(500)
			database.Start(t)
			return nil
		}},
		{"cut", 2, func() error { cable.cut(); return nil }},
		{"deafen", 4, func() error {
			cable.deaf.Store(true)
			f.rest(30)
			cable.cut()
			cable.deaf.Store(false)
			return nil
		}},
	}...)
	if fireTime(60) > 15*time.Second {
		f.wanted = []string{"database"}
	}
	f.burn(fireTime(60))
}

// rest lets less than so many milliseconds pass.
func (f *fire) rest(most int) {
	<-time.After(time.Duration(f.random.IntN(most)) * time.Millisecond)
}

// cable is between servers and a database.
type cable struct {
	url  string
	to   string
	deaf atomic.Bool // nothing of what the database says arrives

	mu   sync.Mutex
	open map[net.Conn]bool // both ends of each connection
}

func newCable(t *testing.T, database *url.URL) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &cable{to: database.Host, open: map[net.Conn]bool{}}
	database.Host = l.Addr().String()
	w.url = database.String()
	var busy sync.WaitGroup
	busy.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			busy.Go(func() { w.carry(t.Context(), c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.cut()
		busy.Wait()
	})
	return w
}

// carry is one connection. If one end is closed, so is the other.
func (w *cable) carry(ctx context.Context, near net.Conn) {
	far, err := (&net.Dialer{}).DialContext(ctx, "tcp", w.to)
	if err != nil {
		_ = near.Close()
		return
	}
	w.hold(true, near, far)
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(far, near) // until it is closed
		w.hold(false, near, far)
	})
	both.Go(func() {
		_, _ = io.Copy(&hearing{Conn: near, w: w}, far)
		w.hold(false, near, far)
	})
	both.Wait()
}

// hold keeps connections in mind, or closes them.
func (w *cable) hold(open bool, list ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range list {
		if open {
			w.open[c] = true
			continue
		}
		delete(w.open, c)
		_ = c.Close()
	}
}

// cut closes all connections.
func (w *cable) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.open {
		_ = c.Close()
	}
	clear(w.open)
}

// hearing is the way from the database. After what did not arrive nothing does.
type hearing struct {
	net.Conn
	w    *cable
	lost bool
}

func (h *hearing) Write(b []byte) (int, error) {
	if h.lost = h.lost || h.w.deaf.Load(); h.lost {
		return len(b), nil
	}
	return h.Conn.Write(b)
}
