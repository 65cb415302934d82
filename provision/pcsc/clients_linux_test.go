package pcsc

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestClients: the kernel names who is connected to a socket, here this process to itself.
func TestClients(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "clients") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "comm")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours := func() (n int) {
		for _, h := range holders(os.DirFS("/proc"), 0, clients(path)) {
			if h.Process == os.Getpid() {
				n++
			}
		}
		return n
	}
	if n := ours(); n != 0 {
		t.Errorf("before: %d", n)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	served, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer served.Close()
	if n := ours(); n != 1 {
		t.Errorf("connected: %d", n)
	}
}

// FuzzClients: no answer of the kernel's makes it read beyond, and none goes on for ever.
func FuzzClients(f *testing.F) {
	f.Add([]byte{20, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1})
	f.Add(append([]byte{48, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, append(make([]byte, 16), 6, 0, 0, 0, '/', 'p', 0, 0, 8, 0, 2, 0, 9, 0, 0, 0)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		found := map[string]bool{}
		addClients(found, b, "/p")
		if len(found) > len(b)/16 {
			t.Errorf("%d of %d bytes", len(found), len(b))
		}
	})
}
