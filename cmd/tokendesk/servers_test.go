package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// server is `tokendesk serve` as a process of its own.
type server struct {
	cmd     *exec.Cmd
	scheme  string // "": http
	address string
	radius  []string    // addresses, in the order of the flags
	log     chan string // everything it said, when it has ended
}

var (
	servingAt = regexp.MustCompile(`url["=:]+(?:(https?)://([0-9.:]+)/wsapi|unix:([^"\s]+))`)
	radiusAt  = regexp.MustCompile(`msg="serving RADIUS" address=(\S+)`)
)

// serve starts a server on a free port and waits until it listens.
func (r *rig) serve(words ...string) *server {
	r.t.Helper()
	s, err := r.start(func(string) bool { return true }, words...)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// start is serve for a server that may not come up. Of its log those lines are kept that are worth it.
func (r *rig) start(worth func(line string) bool, words ...string) (*server, error) {
	return launch(r.program("", 0, append([]string{"serve", "--listen", "127.0.0.1:0"}, words...)...), worth)
}

// launch starts a server and waits until it listens.
func launch(cmd *exec.Cmd, worth func(line string) bool) (*server, error) {
	said, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, log: make(chan string, 1)}
	address := make(chan []string, 1)
	go func() {
		var all strings.Builder
		for in := bufio.NewScanner(said); in.Scan(); {
			if worth(in.Text()) {
				fmt.Fprintln(&all, in.Text())
			}
			if m := radiusAt.FindStringSubmatch(in.Text()); m != nil { // before the other
				s.radius = append(s.radius, m[1])
			}
			if m := servingAt.FindStringSubmatch(in.Text()); m != nil && s.address == "" {
				s.scheme, s.address = m[1], m[2]+m[3]
				address <- m
			}
		}
		close(address)
		s.log <- all.String()
	}()
	if <-address == nil {
		return nil, fmt.Errorf("the server did not start:\n%s", <-s.log)
	}
	return s, nil
}

// url is the address of a path.
func (s *server) url(path string) string {
	if s.scheme == "" {
		return "http://" + s.address + path
	}
	return s.scheme + "://" + s.address + path
}

// stop ends the server by a signal, and returns its log and exit code.
func (s *server) stop(t testing.TB, sig os.Signal) (string, int) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	log := <-s.log
	_ = s.cmd.Wait() // its exit code says it
	return log, s.cmd.ProcessState.ExitCode()
}

// client registers a relying server.
func (r *rig) client(name string) relying {
	r.t.Helper()
	var answer struct{ Client newClient }
	if err := json.Unmarshal(r.handOver("client", "add", name, "-o", "json"), &answer); err != nil {
		r.t.Fatal(err)
	}
	return relying{answer.Client.ID, answer.Client.Key}
}

// ask submits an OTP with a nonce of its own.
func (r *rig) ask(c relying, s *server, otp string) string {
	r.t.Helper()
	r.nonce++
	status, err := c.ask(r.t.Context(), s.address, otp, fmt.Sprintf("nonce%015d", r.nonce))
	if err != nil {
		r.t.Fatal(err)
	}
	return status
}

// TestBlockReachesEveryServer: when `token block` has returned, no server process accepts a fresh OTP of the token, and
// all of them have accepted one just before. Restoring brings it back at all of them.
func TestBlockReachesEveryServer(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	r.must("provision", "--slot", "2")
	c := r.client("mail")
	servers := []*server{r.serve(), r.serve(), r.serve()}
	for round := range 5 {
		for i, s := range servers {
			if got := r.ask(c, s, r.typed(2)); got != "OK" {
				t.Fatalf("round %d, server %d: %s, want OK", round, i, got)
			}
		}
		r.must("token", "block", fmt.Sprint(rigSerial), "--reason", "lost")
		for i, s := range servers {
			if got := r.ask(c, s, r.typed(2)); got != "BAD_OTP" {
				t.Fatalf("round %d, server %d: %s after the block, want BAD_OTP", round, i, got)
			}
		}
		r.stdin = strings.NewReader(r.typed(2))
		r.must("token", "restore", fmt.Sprint(rigSerial))
	}
	for _, s := range servers {
		log, code := s.stop(t, syscall.SIGTERM)
		if code != 0 || !strings.Contains(log, "msg=stopped") {
			t.Errorf("exit code %d\n%s", code, log)
		}
		if n := strings.Count(log, "msg=request door=wsapi"); n != 10 {
			t.Errorf("%d events for 10 requests\n%s", n, log)
		}
	}
	r.must("audit", "verify")
}

// TestServe: health, an unknown path, a second server on the port, an interrupt.
func TestServe(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	s := r.serve()
	for path, want := range map[string]int{"/healthz": 200, "/": 404, "/wsapi/2.0/verify?id=1": 200} {
		ctx, cancel := context.WithTimeout(t.Context(), askTime)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		cancel()
		if res.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
		}
	}
	if code := r.run("serve", "--listen", s.address); code != exitError || !strings.Contains(r.err.String(), "cannot listen on "+s.address) {
		t.Errorf("second server: exit code %d\n%s", code, r.err.String())
	}
	if _, code := s.stop(t, os.Interrupt); code != 0 {
		t.Errorf("interrupt: exit code %d", code)
	}
	open := r.program("", 0, "serve", "--listen", "0.0.0.0:0")
	said, err := open.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := open.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(said)
	for in.Scan() && strings.Contains(in.Text(), "msg=check") {
	}
	if !strings.Contains(in.Text(), "without TLS") {
		t.Errorf("no warning: %q", in.Text())
	}
	_ = open.Process.Kill() // nothing is under way
	_ = open.Wait()
}

// TestInterruptWhileTouchIsAwaited sends SIGINT twice, or SIGHUP as a terminal does that is closed, while the program waits for a
// touch: it gives the key back, says what is open, and resume settles it.
func TestInterruptWhileTouchIsAwaited(t *testing.T) {
	t.Parallel()
	if signal.Ignored(syscall.SIGHUP) { // under nohup; what a test catches, its child does not ignore
		caught := make(chan os.Signal, 1)
		signal.Notify(caught, syscall.SIGHUP)
		t.Cleanup(func() { signal.Stop(caught) })
	}
	for _, sent := range []os.Signal{os.Interrupt, syscall.SIGHUP} {
		t.Run(sent.String(), func(t *testing.T) {
			t.Parallel()
			interruptAtTouch(t, sent)
		})
	}
}

func interruptAtTouch(t *testing.T, sent os.Signal) {
	t.Helper()
	r := newRig(t, 2)
	r.must("init")
	keys := serveKey(t, r)
	cmd := r.program(keys, 2, "provision", "--slot", "2")
	cmd.Env = append(cmd.Env, "TOUCH=", "TOUCH_WAIT=1m")
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for in := bufio.NewScanner(said); in.Scan(); {
		fmt.Fprintln(&all, in.Text())
		if strings.Contains(in.Text(), "now the key blinks") {
			for range 2 {
				if err := cmd.Process.Signal(sent); err != nil && !errors.Is(err, os.ErrProcessDone) {
					t.Fatal(err)
				}
			}
		}
	}
	_ = cmd.Wait()                                                 // its exit code says it
	late := cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() // by the second one, which came when all was said and done
	if code := cmd.ProcessState.ExitCode(); code != int(exitError) && !late || !strings.Contains(all.String(), "tokendesk provision resume --serial 7654321") {
		t.Fatalf("exit code %d\n%s", code, all.String())
	}
	r.released()
	r.must("provision", "resume")
	r.agree(2, 1)
}
