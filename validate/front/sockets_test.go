//go:build unix

package front

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/validate/caller"
)

// handed is a copy of a socket's descriptor, as it is handed over.
func handed(t *testing.T, f *os.File, err error) uintptr {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close() // the copy is what counts
	return uintptr(fd)
}

// TestNamedVisitor: who comes by a Unix socket has no address, whatever the path is that he bound his own end to.
func TestNamedVisitor(t *testing.T) {
	t.Chdir(t.TempDir()) // a path of the form of an address is relative
	l, err := net.Listen("unix", "s")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Most: 4, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, caller.Source(r.RemoteAddr))
	})})
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l, nil) }()
	for _, name := range []string{"", "192.0.2.1:80", "127.0.0.1:80"} {
		d := net.Dialer{Timeout: patience}
		if name != "" {
			d.LocalAddr = &net.UnixAddr{Name: name, Net: "unix"}
		}
		c, err := d.DialContext(t.Context(), "unix", "s")
		if err != nil {
			t.Fatal(err)
		}
		v := &visitor{c, bufio.NewReader(c)}
		if source, err := v.get("/"); source != caller.Local || err != nil {
			t.Errorf("who is bound to %q counts as %q, %v", name, source, err)
		}
		_ = c.Close() // nothing is left to say
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestSockets: each is taken once, by its name and kind.
func TestSockets(t *testing.T) {
	t.Parallel()
	s := &Sockets{}
	var addresses []string
	for _, name := range []string{"http", "other", ""} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, l.Addr().String())
		f, err := l.(*net.TCPListener).File()
		if err := s.add(name, handed(t, f, err)); err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	}
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := p.(*net.UDPConn).File()
	if err := s.add("radius", handed(t, f, err)); err != nil {
		t.Fatal(err)
	}
	_ = p.Close()
	if got := s.Left(); !slices.Equal(got, []string{"http", "other", "", "radius"}) {
		t.Errorf("%q", got)
	}
	other := s.Streams("other")
	if len(other) != 1 || other[0].Addr().String() != addresses[1] || len(s.Streams("other")) != 0 {
		t.Error("other")
	}
	if rest := s.Streams(""); len(rest) != 2 || rest[0].Addr().String() != addresses[0] || rest[1].Addr().String() != addresses[2] {
		t.Error("the rest")
	}
	if got := s.Packets("radius"); len(got) != 1 || len(s.Left()) != 0 {
		t.Error("radius")
	}
	plain, err := os.Create(filepath.Join(t.TempDir(), "plain"))
	if err := s.add("file", handed(t, plain, err)); err == nil {
		t.Error("a file is no socket")
	}
	s.Close()
}

// TestInherit: only this process is meant.
func TestInherit(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pid, fds string
		fails    bool
	}{{"", "", false}, {"", "1", false}, {"8", "1", false}, {"7", "0", false}, {"7", "-1", true}, {"7", "x", true}} {
		s, err := Inherit(func(name string) string { return map[string]string{"LISTEN_PID": tc.pid, "LISTEN_FDS": tc.fds}[name] }, 7)
		if (err != nil) != tc.fails || err == nil && len(s.Left()) != 0 {
			t.Errorf("%+v: %v, %v", tc, s, err)
		}
	}
}

// TestManager: it is told where it listens, and says how long it waits.
func TestManager(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "n") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000"}
	m := FindManager(func(name string) string { return env[name] }, 7)
	if err := m.Tell(Ready); err != nil || m.Watchdog.Seconds() != 3 {
		t.Error(err, m)
	}
	got := make([]byte, 100)
	if n, err := l.Read(got); err != nil || string(got[:n]) != "READY=1" {
		t.Errorf("%q %v", got[:n], err)
	}
	for err = nil; err == nil; err = m.tell(Alive, 10*time.Millisecond) { // until its queue is full
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a manager that does not read: %v", err)
	}
	env["WATCHDOG_PID"] = "8"
	if m := FindManager(func(name string) string { return env[name] }, 7); m.Watchdog != 0 {
		t.Error("another process is watched")
	}
	_ = l.Close()
	if m.Tell(Alive) == nil {
		t.Error("nobody listens")
	}
	if err := (Manager{}).Tell(Alive); err != nil {
		t.Error(err)
	}
}
