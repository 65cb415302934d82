package front

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience bounds what a test waits for.
const patience = time.Minute

// open serves a handler on loopback. Nobody is cut off because the test stood still: see TestBounds.
func open(t *testing.T, c Config) (*Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(c)
	s.http.ReadHeaderTimeout, s.http.ReadTimeout, s.http.WriteTimeout, s.http.IdleTimeout = patience, patience, patience, patience
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l, nil) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = s.Shutdown(ctx) // the test may have done it
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s, l.Addr().String()
}

// await returns when so many connections wait: an answer is there a moment before its connection waits again.
func (s *Server) await(t *testing.T, waiting int) {
	t.Helper()
	for start := time.Now(); ; runtime.Gosched() {
		s.crowd.mu.Lock()
		n := s.crowd.waiting.Len()
		s.crowd.mu.Unlock()
		if n == waiting {
			return
		}
		if time.Since(start) > patience {
			t.Fatalf("%d connections wait, not %d", n, waiting)
		}
	}
}

// visitor is one keep-alive connection.
type visitor struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, address string) *visitor {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &visitor{c, bufio.NewReader(c)}
}

// get asks for a path and returns the body.
func (c *visitor) get(path string) (string, error) {
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
		return "", err
	}
	return c.answer()
}

func (c *visitor) answer() (string, error) {
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close() // read only
	return string(body), err
}

// hungUp reports whether the server closes the connection.
func (c *visitor) hungUp() bool {
	_, err := c.in.ReadByte()
	return err != nil && !strings.Contains(err.Error(), "timeout")
}

// echo answers with the path.
func echo(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) }

// TestAsterisk: a request that is about the server as a whole takes a place and gives it back as every other does; net/http would answer it
// by itself.
func TestAsterisk(t *testing.T) {
	t.Parallel()
	s, address := open(t, Config{Handler: http.HandlerFunc(echo), Most: 4})
	c := dial(t, address)
	for range 3 {
		if _, err := io.WriteString(c, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if got, err := c.answer(); got != "*" {
			t.Fatalf("the answer is %q, %v: not the handler's", got, err)
		}
		s.await(t, 1)
	}
}

// TestWaitsOnce: a connection that is told to be idle twice has one place.
func TestWaitsOnce(t *testing.T) {
	t.Parallel()
	c := newCrowd(4, nil)
	near, far := net.Pipe()
	t.Cleanup(func() { _ = far.Close() })
	m := c.admit(near)
	c.state(m, http.StateIdle)
	if n := c.waiting.Len(); n != 1 {
		t.Fatalf("it waits %d times", n)
	}
	if c.hangUp(); c.open != 0 {
		t.Errorf("%d are open at the end", c.open)
	}
}

// TestRoom: a newcomer takes the place of the connection that has waited longest, whether or not that one has ever said anything; one
// that has just been used is not it.
func TestRoom(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	s, address := open(t, Config{Handler: http.HandlerFunc(echo), Most: 4, Log: slog.New(slog.NewTextHandler(&log, nil))})
	var all []*visitor
	for i := range 4 {
		c := dial(t, address)
		if i == 1 { // half a head
			_, _ = io.WriteString(c, "GET / HT")
		} else if got, err := c.get("/a"); got != "/a" {
			t.Fatal(got, err)
		}
		s.await(t, i+1)
		all = append(all, c)
	}
	if got, err := all[0].get("/again"); got != "/again" {
		t.Fatal(got, err)
	}
	s.await(t, 4)
	for i, out := range []int{1, 2, 3, 0} {
		if got, err := dial(t, address).get("/new"); got != "/new" {
			t.Fatal(i, got, err)
		}
		if !all[out].hungUp() {
			t.Errorf("newcomer %d: connection %d is still open", i, out)
		}
		s.await(t, 4)
	}
	if s.Open() > 4 || strings.Count(log.String(), "longest") != 1 {
		t.Errorf("%d connections\n%s", s.Open(), &log)
	}
}

// TestBusyAreLeftAlone: where all connections carry a request, a newcomer waits until one of them has its answer.
func TestBusyAreLeftAlone(t *testing.T) {
	t.Parallel()
	began, release := make(chan bool), make(chan bool)
	_, address := open(t, Config{Most: 2, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			began <- true
			<-release
		}
		echo(w, r)
	})})
	answers := make(chan string, 3)
	ask := func(c *visitor, path string) {
		got, err := c.get(path)
		if err != nil {
			got = err.Error()
		}
		answers <- got
	}
	for range 2 {
		go ask(dial(t, address), "/slow")
		<-began
	}
	go ask(dial(t, address), "/new")
	release <- true
	if a, b := <-answers, <-answers; a+b != "/slow/new" && a+b != "/new/slow" {
		t.Error(a, b)
	}
	release <- true
	if got := <-answers; got != "/slow" {
		t.Error(got)
	}
}

// TestNothingIsSpentUnanswered: connections are closed all the time, because there is room for few, and in the end for none. Whatever
// the handler has done, the caller was told; and each caller gets through.
func TestNothingIsSpentUnanswered(t *testing.T) {
	t.Parallel()
	var done sync.Map // requests that the handler saw
	s, address := open(t, Config{Most: 6, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done.Store(r.URL.Path, true)
		echo(w, r)
	})})
	var told sync.Map
	var answered atomic.Int64
	var callers sync.WaitGroup
	for n := range 24 {
		callers.Go(func() {
			for i := 0; ; i++ {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					return // the server has ended
				}
				c := &visitor{conn, bufio.NewReader(conn)}
				for j := range 20 {
					path := fmt.Sprintf("/%d/%d/%d", n, i, j)
					got, err := c.get(path)
					if err != nil {
						break
					}
					told.Store(got, true)
					if answered.Add(1) == 3000 {
						go func() { _ = s.Shutdown(context.Background()) }() // told of by Cleanup
					}
				}
				_ = conn.Close()
			}
		})
	}
	callers.Wait()
	done.Range(func(path, _ any) bool {
		if _, ok := told.Load(path); !ok {
			t.Errorf("%s was done and not answered", path)
		}
		return true
	})
	if answered.Load() < 3000 {
		t.Errorf("%d answers", answered.Load())
	}
}

// TestClosedDoesNotBegin: the request that a caller had sent already when the connection was closed is not begun.
func TestClosedDoesNotBegin(t *testing.T) {
	t.Parallel()
	c := newCrowd(1, nil)
	here, there := net.Pipe()
	defer func() { _ = there.Close() }()
	m := c.admit(here)
	if began, _ := c.begin(m); !began || c.turnOut(&c.waiting) {
		t.Error("a busy connection was closed")
	}
	c.state(m, http.StateIdle)
	closed := c.turnOut(&c.waiting)
	if began, _ := c.begin(m); !closed || began || c.open != 0 {
		t.Error("a closed connection begins")
	}
	_ = m.Close()
	c.state(m, http.StateIdle)
	if c.open != 0 || c.waiting.Len() != 0 {
		t.Errorf("%d open, %d waiting", c.open, c.waiting.Len())
	}
}

// from is a connection from an address.
type from struct {
	net.Conn
	remote net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.remote }

// TestShare: one source, which is a /64 of IPv6, has a quarter of the places and loses its own when it takes more; a proxy that is
// trusted and this machine may have all.
func TestShare(t *testing.T) {
	t.Parallel()
	c := newCrowd(16, func(source string) bool { return source == "192.0.2.99" })
	come := func(address string) *member {
		here, there := net.Pipe()
		t.Cleanup(func() { _ = there.Close() })
		return c.admit(from{here, &net.TCPAddr{IP: net.ParseIP(address), Port: 1}})
	}
	first := come("2001:db8::1")
	for i := range 9 {
		if m := come(fmt.Sprintf("2001:db8::%x", i+2)); m == nil {
			t.Fatal("an idle one makes room")
		}
	}
	if !first.gone || c.open != 4 {
		t.Errorf("%d open", c.open)
	}
	other := come("2001:db8:0:1::1")
	if c.open != 5 || other.gone {
		t.Errorf("another network: %d open", c.open)
	}
	for range 4 {
		m := come("198.51.100.1")
		c.begin(m)
	}
	if m := come("::ffff:198.51.100.1"); m != nil || c.open != 9 {
		t.Errorf("a fifth beside four busy ones: %v, %d open", m, c.open)
	}
	for range 10 {
		if come("192.0.2.99") == nil || come("127.0.0.1") == nil {
			t.Fatal("no room for a proxy")
		}
	}
	if c.open != 16 || !other.gone {
		t.Errorf("%d open", c.open)
	}
	c.hangUp()
	if c.open != 4 || come("203.0.113.1") != nil || len(c.sources) != 1 {
		t.Errorf("%d open, %d sources", c.open, len(c.sources))
	}
}

// TestShutdown: what is under way gets its answer, who is connected may ask once more, who waits for longer is hung up on, nobody is let
// in, and beyond the bound nobody is waited for.
func TestShutdown(t *testing.T) {
	t.Parallel()
	began, release := make(chan bool), make(chan bool)
	s, address := open(t, Config{Most: 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/busy" {
			began <- true
			<-release
		}
		echo(w, r)
	})})
	silent, once, busy := dial(t, address), dial(t, address), dial(t, address)
	if got, err := once.get("/first"); got != "/first" {
		t.Fatal(got, err)
	}
	answer := make(chan string, 1)
	go func() {
		got, err := busy.get("/busy")
		answer <- fmt.Sprint(got, err)
	}()
	<-began
	short, cancel := context.WithCancel(t.Context())
	grace := make(chan time.Time)
	s.after = func(time.Duration) <-chan time.Time { return grace }
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(short) }()
	for start := time.Now(); ; {
		c, err := net.Dial("tcp", address)
		if err != nil {
			break // nobody is let in
		}
		_ = c.Close()
		if time.Since(start) > patience {
			t.Fatal("newcomers are let in")
		}
	}
	if got, err := once.get("/once"); got != "/once" || !once.hungUp() {
		t.Error("no last answer, or not the last one", got, err)
	}
	close(grace)
	if !silent.hungUp() {
		t.Error("one that waits is still open")
	}
	release <- true
	if got := <-answer; got != "/busy<nil>" {
		t.Error(got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	cancel()
	late, address := open(t, Config{Most: 10, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		began <- true
		<-release
	})})
	go func() { _, _ = dial(t, address).get("/never") }()
	<-began
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := late.Shutdown(over); err == nil {
		t.Error("an answer was waited for without end, or nobody says that it was not")
	}
	release <- true
}

// TestBounds: an answer is still sent after the slowest body and the doors' patience of 8 s.
func TestBounds(t *testing.T) {
	t.Parallel()
	if WriteTimeout < ReadTimeout+8*time.Second+time.Second {
		t.Error("the write timeout is too short")
	}
	s := New(Config{Handler: http.NotFoundHandler(), Most: 1}).http
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.IdleTimeout <= 0 || s.WriteTimeout <= 0 || s.MaxHeaderBytes < 16<<10 {
		t.Errorf("%+v", s)
	}
}
