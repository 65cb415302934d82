package main

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// BenchmarkYubiserver asks Debian's yubiserver, on one connection.
func BenchmarkYubiserver(b *testing.B) {
	r := newRig(b, 2)
	r.must("init")
	keys := importPressers(b, r, 1)
	address, client := benchYubiserver(b, keys)
	load{address: address, client: client, keys: keys, connections: 1}.run(b)
}

// benchYubiserver starts Debian's server with the keys and a client, number 1.
func benchYubiserver(b *testing.B, keys []*presser) (address string, c relying) {
	const key = "12345678901234567890"
	o := newOldServer(b, func(admin func(words ...string)) {
		for i, k := range keys {
			admin("-y", "-a", fmt.Sprint("key", i), modhex.EncodeToString(k.publicID), hex.EncodeToString(k.drawn[16:]), hex.EncodeToString(k.drawn[:16]))
		}
		admin("-p", "-a", "bench", key)
	})
	o.start(b)
	return o.address, relying{1, base64.StdEncoding.EncodeToString([]byte(key))}
}

// oldServer is Debian's yubiserver. It becomes a daemon of a user of its own: its files are that user's, and it ends with the first
// process of its PID namespace.
type oldServer struct {
	dir, file string
	address   string
	cmd       *exec.Cmd
}

// newOldServer makes its file, which fill fills by yubiserver-admin.
func newOldServer(t testing.TB, fill func(admin func(words ...string))) *oldServer {
	t.Helper()
	needJudges(t, "yubiserver", "yubiserver-admin")
	dir, err := os.MkdirTemp("", "yubiserver")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	o := &oldServer{dir: dir, file: filepath.Join(dir, "yubiserver.sqlite")}
	first, err := os.ReadFile("/etc/yubiserver/yubiserver.sqlite.init")
	if err = errors.Join(err, os.WriteFile(o.file, first, 0o600)); err != nil {
		t.Fatal(err)
	}
	fill(func(words ...string) {
		if out, err := exec.CommandContext(t.Context(), "yubiserver-admin", append([]string{"-b", o.file}, words...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	})
	return o
}

// start runs it until the test ends, or stop.
func (o *oldServer) start(t testing.TB) {
	t.Helper()
	if who, err := user.Lookup("yubiserver"); err == nil {
		n, err := strconv.Atoi(who.Uid)
		if err = errors.Join(err, os.Chown(o.dir, n, -1), os.Chown(o.file, n, -1)); err != nil {
			t.Fatal(err)
		}
	}
	port := keptPort(t)
	o.address = "127.0.0.1:" + port
	o.cmd = exec.CommandContext(t.Context(), "sh", "-c", `yubiserver -d "$1" -l "$2" -p "$3"; exec sleep 3600`, "sh", o.file, filepath.Join(o.dir, "log"), port)
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.stop)
	waitFor(t, o.address)
}

func (o *oldServer) stop() { _ = o.cmd.Process.Kill(); _ = o.cmd.Wait() }

// keptPort is one for a program that cannot choose one by itself, and sets SO_REUSEADDR as this does: until the test ends the system gives
// it to nobody else who asks for any.
func keptPort(t testing.TB) string {
	t.Helper()
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(s) }) // it was never listened on
	err = errors.Join(syscall.SetsockoptInt(s, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1), syscall.Bind(s, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	if err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(s)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(at.(*syscall.SockaddrInet4).Port)
}

// waitFor returns when somebody listens.
func waitFor(t testing.TB, address string) {
	t.Helper()
	for end := time.Now().Add(askTime); ; <-time.After(time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}
