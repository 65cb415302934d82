package sqlstore

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// logVariable is the log of what a server process spends.
const logVariable = "TOKENDESK_TEST_LOG"

// childVariable makes the test binary a server process: its value is the store's directory.
const childVariable = "TOKENDESK_TEST_STORE"

// TestMain runs either the tests, one server process, or one that pushes or guesses.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		if err := serveChild(dir, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if text := os.Getenv(rekeyVariable); text != "" {
		if err := rekeyChild(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv(pushVariable); dir != "" {
		if err := pushChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv(guessVariable); dir != "" {
		if err := guessChild(dir, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// loadKeys reads the keys that drawKeys wrote; the zero keys, which open nothing, if they are not there.
func loadKeys(dir string) (out Keys) {
	out.Sealing, _ = seal.LoadFile(filepath.Join(dir, "seal.key"))
	out.Signing, _ = seal.LoadSigningFile(filepath.Join(dir, "sign.key"))
	return out
}

// serveChild answers lines "use session nonce" with "use session ok|no", each from a goroutine of its own, and ends with its input.
func serveChild(dir string, in io.Reader, out io.Writer) error {
	ctx := context.Background()
	s, err := Open(ctx, dir, loadKeys(dir), options())
	if err != nil {
		return err
	}
	defer s.Close()
	if log := os.Getenv(logVariable); log != "" {
		if err := s.LogSpent(ctx, log); err != nil {
			return err
		}
	}
	c, err := s.Find(ctx, storetest.Sample(1, "").PublicID)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "ready")
	var mu sync.Mutex
	var wg sync.WaitGroup
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var use, session int
		var nonce string
		if _, err := fmt.Sscan(lines.Text(), &use, &session, &nonce); err != nil {
			return err
		}
		wg.Go(func() {
			ok, err := s.Accept(ctx, validate.Advance{Credential: c.ID, Use: use, Session: session, Nonce: nonce, At: time.Now(),
				Event: validate.Event{PublicID: c.PublicID, Result: "OK", Reason: validate.ReasonAccepted}})
			word := map[bool]string{true: "ok", false: "no"}[ok]
			if err != nil {
				word = "error"
			}
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintln(out, use, session, word) // an answer goes out after the commit
		})
	}
	wg.Wait()
	return lines.Err()
}

// child is a server process.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startChild(t *testing.T, p place, env ...string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), childVariable+"="+p.dir), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd, in, bufio.NewScanner(out)}
	if !c.out.Scan() || c.out.Text() != "ready" {
		t.Fatalf("the process did not start: %q, %v", c.out.Text(), c.out.Err())
	}
	return c
}

// answers reads to the end, calling each for every answer, and lists what was accepted.
func (c *child) answers(t *testing.T, each func(ok bool)) (accepted [][2]int) {
	for c.out.Scan() {
		var use, session int
		var word string
		n, _ := fmt.Sscan(c.out.Text(), &use, &session, &word)
		if each(word == "ok"); n != 3 {
			continue // cut off by the kill
		}
		switch word {
		case "ok":
			accepted = append(accepted, [2]int{use, session})
		case "error":
			t.Errorf("(%d, %d): a failure", use, session)
		}
	}
	return accepted
}

// TestOneOfAllProcesses: 64 goroutines in each of 4 processes present the same OTP; repeated for several OTPs.
func TestOneOfAllProcesses(t *testing.T) {
	t.Parallel()
	const processes, callers, rounds = 4, 64, 5
	s, p := makeStore(t)
	harness{s, s}.Add(t, storetest.Sample(1, token.Active))
	var children []*child
	for range processes {
		children = append(children, startChild(t, p))
	}
	accepted := map[[2]int]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i, c := range children {
		wg.Go(func() {
			var lines strings.Builder
			for use := range rounds {
				for n := range callers {
					fmt.Fprintf(&lines, "%d 0 n%d.%d\n", use, i, n)
				}
			}
			if _, err := io.WriteString(c.in, lines.String()); err != nil {
				t.Error(err)
			}
			if err := c.in.Close(); err != nil {
				t.Error(err)
			}
			got := c.answers(t, func(bool) {})
			if err := c.cmd.Wait(); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, otp := range got {
				accepted[otp]++
			}
		})
	}
	wg.Wait()
	for otp, n := range accepted {
		if n != 1 {
			t.Errorf("OTP %v was accepted %d times", otp, n)
		}
	}
	if accepted[[2]int{rounds - 1, 0}] != 1 {
		t.Errorf("the newest OTP was accepted %d times", accepted[[2]int{rounds - 1, 0}])
	}
	verifyAudit(t, s)
}

// TestKilledProcessForgetsNothing kills a server process at random moments under load. Afterwards nothing that it had
// accepted is accepted again, by anybody, and the audit is whole. TOKENDESK_KILLS sets how often; 200 unless told.
func TestKilledProcessForgetsNothing(t *testing.T) {
	t.Parallel()
	kills := 200
	if v, err := strconv.Atoi(os.Getenv("TOKENDESK_KILLS")); err == nil {
		kills = v
	} else if testing.Short() {
		kills = 10
	}
	s, p := makeStore(t)
	id := harness{s, s}.Add(t, storetest.Sample(1, token.Active))
	order, total := 0, 0
	for n := range kills {
		accepted := loadAndKill(t, p, &order, (n+1)%4)
		total += len(accepted)
		for _, otp := range accepted {
			ok, err := s.Accept(t.Context(), validate.Advance{Credential: id, Use: otp[0], Session: otp[1], Nonce: "again", At: time.Now()})
			if err != nil || ok {
				t.Fatalf("kill %d: OTP %v was accepted before and after it (%v)", n, otp, err)
			}
		}
	}
	if total < kills {
		t.Errorf("only %d OTPs accepted over %d kills", total, kills)
	}
	t.Logf("%d OTPs accepted over %d kills", total, kills)
	verifyAudit(t, s)
}

// loadAndKill sends ever newer OTPs to a process of its own, 8 at a time, and kills it within 30 ms after at least so many
// were accepted.
func loadAndKill(t *testing.T, p place, order *int, least int, env ...string) [][2]int {
	c := startChild(t, p, env...)
	var after *time.Timer
	die := func() {
		after = time.AfterFunc(time.Duration(rand.IntN(30_000))*time.Microsecond, func() { _ = c.cmd.Process.Kill() })
	}
	if least == 0 {
		die()
	}
	defer func() { after.Stop() }()
	window, dead, sent := make(chan struct{}, 8), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sent)
		for {
			select {
			case window <- struct{}{}:
			case <-dead:
				return
			}
			*order++
			if _, err := fmt.Fprintf(c.in, "%d %d n\n", *order/256, *order%256); err != nil {
				return // it was killed
			}
		}
	}()
	accepted := c.answers(t, func(ok bool) {
		if <-window; !ok {
			return
		}
		if least--; least == 0 {
			die()
		}
	})
	close(dead)
	<-sent
	_ = c.cmd.Wait() // killed
	return accepted
}
