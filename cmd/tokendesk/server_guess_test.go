package main

import (
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// TestGuessing: whoever fires codes at two server processes at once gets ten of them compared, however many they are; then none, nor the
// right one, for a day. From outside a code that was compared, one that came too soon, one for a locked person and one
// for nobody look the same.
func TestGuessing(t *testing.T) {
	t.Parallel()
	w, totp, _, hotp := newWalker(t)
	press := hotp.counted(t, 0, 30)
	w.typing(press[0])
	w.must("token", "issue", hotp.serial, "--to", "ada", "--id-check", "known")
	now := w.apart()
	w.typing(totp.at(t, now))
	w.must("token", "issue", totp.serial, "--to", "ada", "--id-check", "known") // a second token gives no more tries
	now = w.apart()
	right := append(slices.Clone(press), totp.timed(t, now.Add(-time.Hour), 240)...)

	g := guesser{walker: w, guess: func(n int) string { return hotp.wrong(right, n) }}
	start := time.Now()
	g.volley(1000)
	for range 40 { // longer than all delays together
		w.advance(20 * time.Second)
		g.volley(25)
	}
	locked := w.advance(0)
	g.single(press[1]) // right, and too late
	w.advance(validate.LockTime - 41*20*time.Second)
	g.single(press[1])
	t.Logf("%d guesses in %v", g.asked.Load(), time.Since(start).Round(time.Millisecond))

	w.advance(locked.Add(validate.LockTime).Sub(w.now()))
	w.client.expect(t, w.servers[0], "a day later", "ada", press[1], true)
	w.client.expect(t, w.servers[1], "and the next", "ada", press[2], true)
	g.report()
}

// TestGuessingCodes: temporary codes, which help whoever was locked out, are guessed by nobody for another reason: of the wrong ones that
// are tried on a person, a thousand an hour are compared. Then not even the right one is; other persons are not concerned.
func TestGuessingCodes(t *testing.T) {
	t.Parallel()
	w, _, _, _ := newWalker(t)
	temp, other := w.tempCode("ada"), w.tempCode("bert")
	g := guesser{walker: w, guess: func(int) string {
		code, err := token.NewSpoken(rand.Reader, token.CodeLen)
		if err != nil {
			t.Error(err)
		}
		return token.ShowSpoken(string(code.Reveal()))
	}}
	const volley, nobody = validate.BudgetSize + 100, (validate.BudgetSize + 100) / 25
	g.volley(volley)
	g.single(temp)
	w.client.expect(t, w.servers[1], "somebody else's", "bert", other, true)
	w.advance(time.Minute)
	w.client.expect(t, w.servers[1], "a minute later", "ada", temp, true)
	reasons := g.stopped()
	if reasons[validate.ReasonWrong] != validate.BudgetSize || reasons[validate.ReasonNobody] != nobody || reasons[validate.ReasonBudget] != volley-nobody-validate.BudgetSize+1 {
		t.Errorf("%v", reasons)
	}
}

// guesser fires wrong codes.
type guesser struct {
	walker
	guess func(n int) string
	asked atomic.Int64
	mu    sync.Mutex
	forms map[string]int // of answers
}

// volley fires n codes at once: at both servers, about ada and about somebody who does not exist.
func (g *guesser) volley(n int) {
	g.t.Helper()
	const workers = 64
	codes := make(chan int)
	var work sync.WaitGroup
	for range min(n, workers) {
		work.Go(func() {
			for i := range codes {
				account := "ada"
				if i%25 == 24 {
					account = "nobody"
				}
				g.fire(i, account, g.guess(int(g.asked.Add(1))))
			}
		})
	}
	for i := range n {
		codes <- i
	}
	close(codes)
	work.Wait()
}

// single fires one code, at the first server.
func (g *guesser) single(code string) {
	g.asked.Add(1)
	g.fire(0, "ada", code)
}

func (g *guesser) fire(i int, account, code string) {
	d, err := g.client.verify(g.t.Context(), g.servers[i%len(g.servers)], account, code)
	if err != nil || d.accepted() {
		g.t.Errorf("guess %d: %s, %v", i, d.body, err)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.forms == nil {
		g.forms = map[string]int{}
	}
	g.forms[shape(d)]++
}

// shape is everything that a client sees of an answer, but for the support code and the date.
func shape(d decision) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(d.header)) {
		if name != "Date" && name != validate.RequestIDHeader {
			text.WriteString(name + ": " + strings.Join(d.header[name], ", ") + "\n")
		}
	}
	return text.String() + d.body
}

// stopped stops the servers, and counts what their logs say was done with the codes. All answers must have looked the same.
func (g *guesser) stopped() map[validate.Reason]int {
	g.t.Helper()
	if len(g.forms) != 1 {
		g.t.Errorf("%d kinds of answers: %q", len(g.forms), slices.Collect(maps.Keys(g.forms)))
	}
	g.client.http.CloseIdleConnections()
	reasons := map[validate.Reason]int{}
	for _, s := range g.servers {
		log, code := s.stop(g.t, syscall.SIGTERM)
		if code != 0 {
			g.t.Errorf("exit code %d\n%s", code, log)
		}
		for _, reason := range []validate.Reason{validate.ReasonWrong, validate.ReasonThrottled, validate.ReasonLocked, validate.ReasonNobody, validate.ReasonBudget} {
			reasons[reason] += strings.Count(log, `reason="`+string(reason)+`"`)
		}
	}
	g.t.Logf("%v", reasons)
	g.must("audit", "verify")
	return reasons
}

// report is stopped, of guesses of digits.
func (g *guesser) report() {
	g.t.Helper()
	reasons := g.stopped()
	if n := reasons[validate.ReasonWrong]; n != validate.MaxFailures {
		g.t.Errorf("%d guesses were compared, want %d", n, validate.MaxFailures)
	}
	if reasons[validate.ReasonThrottled] < 900 || reasons[validate.ReasonLocked] < 100 || reasons[validate.ReasonNobody] == 0 {
		g.t.Errorf("%v", reasons)
	}
}
