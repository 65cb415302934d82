//go:build unix

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStoppedServerOwesNothing stops server processes by SIGTERM under load. An OTP that got no answer was not used up: the next server
// accepts it. So every request that the store took had its answer, and the others were cut off before anything was spent.
func TestStoppedServerOwesNothing(t *testing.T) {
	t.Parallel()
	const rounds = 10
	r := newRig(t, 2)
	r.must("init")
	pressers := importPressers(t, r, 8)
	a := newAsker(t, r.client("mail"))
	for round := range rounds {
		s := r.serve("--limit", "0")
		heard := make(chan struct{}, 64)
		wait := each(t, pressers, func(p *presser) error {
			p.heard = heard
			if err := p.settle(t, a, s); err != nil {
				return err
			}
			return p.load(t, a, s)
		})
		randomMoment(heard)
		start := time.Now()
		log, code := s.stop(t, syscall.SIGTERM)
		wait()
		if took := time.Since(start); code != 0 || took > drainTimeout || !strings.Contains(log, "msg=stopped") {
			t.Errorf("round %d: exit code %d after %v\n%s", round, code, took, tail(log))
		}
		for i, p := range pressers {
			if p.counted > 0 {
				t.Fatalf("round %d: key %d: an OTP was used up without an answer", round, i)
			}
		}
	}
	last := r.serve("--limit", "0")
	each(t, pressers, func(p *presser) error { return p.settle(t, a, last) })()
	accepted := 0
	for i, p := range pressers {
		accepted += len(p.accepted)
		if p.counted > 0 {
			t.Errorf("key %d: an OTP was used up without an answer", i)
		}
	}
	a.hangUp()
	last.stop(t, syscall.SIGTERM)
	t.Logf("%d OTPs accepted over %d stops", accepted, rounds)
	if accepted < rounds {
		t.Errorf("only %d OTPs accepted over %d stops", accepted, rounds)
	}
}

// inheriting is a server that is given sockets as systemd gives them. Source: sd_listen_fds(3).
func (r *rig) inheriting(names string, sockets []*os.File, words ...string) *exec.Cmd {
	cmd := limited(r.program("", 0, append([]string{"serve"}, words...)...), "export LISTEN_PID=$$")
	cmd.Env = append(cmd.Env, fmt.Sprint("LISTEN_FDS=", len(sockets)), "LISTEN_FDNAMES="+names)
	cmd.ExtraFiles = sockets
	return cmd
}

// wordsTo are what is said to a service manager, read at once: where ten words wait, who speaks waits too.
func wordsTo(manager *net.UnixConn) <-chan string {
	told := make(chan string, 10_000)
	go func() {
		defer close(told)
		for got := make([]byte, 100); ; {
			n, err := manager.Read(got)
			if err != nil {
				return
			}
			told <- string(got[:n])
		}
	}()
	return told
}

// TestRestartBehindOneSocket restarts the server under load while somebody else holds the socket, as systemd does: no request at all
// fails. The service manager is told when each is ready, that it lives, and when it stops.
func TestRestartBehindOneSocket(t *testing.T) {
	t.Parallel()
	const restarts = 5
	r := newRig(t, 2)
	r.must("init")
	pressers := importPressers(t, r, 8)
	c := r.client("mail")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	held, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "n") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = manager.Close() }()
	told := wordsTo(manager)
	patience := time.After(askTime)
	until := func(state string) {
		t.Helper()
		for {
			select {
			case got := <-told:
				if got == state {
					return
				}
			case <-patience:
				t.Fatalf("the service manager is not told %s", state)
			}
		}
	}
	start := func() *server {
		cmd := r.inheriting("http", []*os.File{held}, "--limit", "0")
		cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+filepath.Join(dir, "notify"), "WATCHDOG_USEC=200000")
		return r.launched(cmd)
	}
	s := start()
	if s.address != l.Addr().String() {
		t.Fatalf("listens on %s", s.address)
	}
	until("READY=1")
	heard := make(chan struct{}, 64)
	for _, p := range pressers {
		p.heard = heard
	}
	stop := asking(t, r, c, pressers, s)
	for range restarts {
		until("WATCHDOG=1")
		await(t, heard, 1)
		log, code := s.stop(t, syscall.SIGTERM)
		if code != 0 {
			t.Errorf("exit code %d\n%s", code, tail(log))
		}
		until("STOPPING=1")
		s = start()
		until("READY=1")
	}
	until("WATCHDOG=1")
	accepted := stop()
	s.stop(t, syscall.SIGTERM)
	t.Logf("%d OTPs accepted over %d restarts", accepted, restarts)
}

// TestSocketActivation: systemd's own program hands the socket over, and starts the server when somebody asks.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	needJudges(t, "systemd-socket-activate")
	r := newRig(t, 2)
	r.must("init")
	dir, err := os.MkdirTemp("", "n") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "http")
	program, err := exec.LookPath("tokendesk")
	if err != nil {
		t.Fatal(err)
	}
	cmd := r.program("", 0, "serve")
	cmd.Path, err = exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args = append([]string{"systemd-socket-activate", "--listen=" + path, "--fdname=http", program}, cmd.Args[1:]...)
	asked := make(chan bool, 1)
	go func() {
		defer close(asked)
		for start := time.Now(); time.Since(start) < askTime && t.Context().Err() == nil; {
			c, err := net.Dial("unix", path)
			if err != nil {
				<-time.After(time.Millisecond) // not yet
				continue
			}
			_ = c.SetDeadline(time.Now().Add(askTime))
			_, _ = c.Write([]byte("GET /healthz HTTP/1.0\r\n\r\n"))
			answer := make([]byte, 15)
			_, _ = io.ReadFull(c, answer)
			_ = c.Close()
			asked <- string(answer) == "HTTP/1.0 200 OK"
			return
		}
	}()
	s := r.launched(cmd)
	if s.address != path {
		t.Errorf("listens on %s", s.address)
	}
	if !<-asked {
		t.Error("the one whose request started the server has no answer")
	}
	if log, code := s.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d\n%s", code, log)
	}
}

// TestUnixSocket: the socket is for owner and group; a dead one is replaced, a live one is not.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	dir, err := os.MkdirTemp("", "n") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	dead := r.launched(r.program("", 0, "serve", "--listen", "unix:"+path))
	dead.stop(t, os.Kill)
	if _, err := os.Lstat(path); err != nil {
		t.Fatal("nothing to replace")
	}
	s := r.launched(r.program("", 0, "serve", "--listen", "unix:"+path))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Error(info, err)
	}
	if code := r.run("serve", "--listen", "unix:"+path); code != exitError || !strings.Contains(r.err.String(), "cannot listen on unix:"+path) {
		t.Errorf("a second server: exit code %d\n%s", code, r.err.String())
	}
	if c, err := net.Dial("unix", path); err != nil {
		t.Error("the second has taken the socket of the first: ", err)
	} else {
		_ = c.Close()
	}
	if log, code := s.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d\n%s", code, log)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is left")
	}
}

// TestNoCoreDump: the server writes no memory to a disk, whatever the limits are that it was started with.
func TestNoCoreDump(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	s := r.launched(limited(r.program("", 0, "serve", "--listen", "127.0.0.1:0"), "export GOTRACEBACK=crash; ulimit -c unlimited"))
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(limits), "Max core file size")
	if f := strings.Fields(rest); len(f) < 2 || f[0] != "0" || f[1] != "0" {
		t.Errorf("%q", f[:2])
	}
	s.stop(t, syscall.SIGABRT)
	if w := s.cmd.ProcessState.Sys().(syscall.WaitStatus); w.CoreDump() {
		t.Error("a core was dumped")
	}
}
