package main

import (
	"errors"
	"fmt"
	weak "math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// pacer stops a rig's clock, and sets it ahead by steps on demand. It is safe for concurrent use.
type pacer struct {
	r    *rig
	from time.Time
	step atomic.Int64
	mu   sync.Mutex
}

// paceStep is longer than the delay after a few wrong codes.
const paceStep = 30 * time.Second

// codeSteps is how many steps of the pacer one of a TOTP token lasts: so that a code is not late when others have set the clock ahead.
const codeSteps = 4

// next sets the clock ahead by one step, and returns its number.
func (p *pacer) next() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.step.Add(1)
	p.r.setTime(p.from.Add(time.Duration(n) * paceStep))
	return n
}

// coder is a person with a token, and remembers what the codes were answered. One goroutine owns it.
type coder struct {
	account  string
	token    seeded
	codes    []string // HOTP: by moving factor; TOTP: by step
	next     int64
	accepted map[int64]bool
	order    []int64 // of the accepted ones
	lost     int64   // answers that never came
	refused  int
	heard    chan<- struct{}
}

// ask submits a code; true if it was accepted, which must not happen twice.
func (c *coder) ask(t *testing.T, f *factorClient, s *server, n int64) (bool, error) {
	d, err := f.verify(t.Context(), s, c.account, c.codes[n])
	switch {
	case err != nil:
		return false, err
	case d.status != 200:
		return false, fmt.Errorf("HTTP %d %s", d.status, d.body)
	case d.accepted() && c.accepted[n]:
		return false, fmt.Errorf("code %d was accepted twice", n)
	case d.accepted() && len(c.order) > 0 && n < c.order[len(c.order)-1]:
		return false, fmt.Errorf("code %d was accepted after code %d", n, c.order[len(c.order)-1])
	case d.accepted():
		c.accepted[n], c.order = true, append(c.order, n)
		select {
		case c.heard <- struct{}{}:
		default:
		}
	}
	return d.accepted(), nil
}

// load submits the next code, and between those older ones, until the server is silent.
func (c *coder) load(t *testing.T, f *factorClient, s *server, p *pacer) error {
	for {
		n := c.next
		if c.token.kind == token.TOTP {
			for n = p.step.Load()/codeSteps + 1; n <= c.next; { // the next one is right already
				n = p.next()/codeSteps + 1
			}
		}
		if c.next = n; c.token.kind == token.HOTP {
			c.next++
		}
		if int(n) >= len(c.codes) {
			return errors.New("out of codes")
		}
		ok, err := c.ask(t, f, s, n)
		if err != nil {
			c.lost++
			return err
		}
		if !ok {
			c.refused++
			p.next() // the delay is over
		}
		if n%3 == 0 {
			if err := c.askOlder(t, f, s); err != nil {
				return err
			}
			p.next()
		}
	}
}

// askOlder submits one that was accepted: the last, or any.
func (c *coder) askOlder(t *testing.T, f *factorClient, s *server) error {
	if len(c.order) == 0 {
		return nil
	}
	n := c.order[len(c.order)-1]
	if weak.IntN(2) == 0 {
		n = c.order[weak.IntN(len(c.order))]
	}
	_, err := c.ask(t, f, s, n)
	return err
}

// TestServerKilledCountsNoCodeTwice kills servers (kill -9) under a load of HOTP and TOTP codes, beside one that runs on. No code is
// accepted twice, by whichever process, nor one that is older than another that was accepted. Codes of eight digits: that two of a
// window are equal by chance would look the same. TOKENDESK_KILLS sets how often; 100 unless told.
func TestServerKilledCountsNoCodeTwice(t *testing.T) {
	t.Parallel()
	needJudges(t, "oathtool", "pskctool")
	kills := 100
	if v, err := strconv.Atoi(os.Getenv("TOKENDESK_KILLS")); err == nil {
		kills = v / 5
	} else if testing.Short() {
		kills = 5
	}
	r := newRig(t, 2)
	p := &pacer{r: r, from: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	r.setTime(p.from)
	r.must("init")
	all := newCoders(t, r, p, 8, 500*kills+2000)
	f := r.factorClient("mail")
	other := r.serve("--limit", "0")
	start := time.Now()
	for n := range kills {
		s := r.serve("--limit", "0")
		heard := make(chan struct{}, 64)
		var work sync.WaitGroup
		for _, c := range all {
			c.heard = heard
			work.Go(func() {
				err := c.load(t, f, s, p)
				if errors.Is(err, errSilent) {
					err = c.askOlder(t, f, other)
				}
				if err != nil {
					t.Errorf("%s: %v", c.account, err)
				}
			})
		}
		randomMoment(heard)
		s.stop(t, os.Kill)
		work.Wait()
		if t.Failed() {
			t.Fatalf("after %d kills", n+1)
		}
	}
	accepted, refused, lost := 0, 0, int64(0)
	for _, c := range all {
		accepted, refused, lost = accepted+len(c.order), refused+c.refused, lost+c.lost
		for range 20 { // all of it is past
			p.next()
			if err := c.askOlder(t, f, other); err != nil {
				t.Errorf("%s: %v", c.account, err)
			}
		}
	}
	t.Logf("%d kills, %d codes accepted, %d fresh ones refused, %d answers lost, %v", kills, accepted, refused, lost, time.Since(start).Round(time.Millisecond))
	if accepted < 2*kills {
		t.Errorf("only %d codes accepted over %d kills", accepted, kills)
	}
	f.http.CloseIdleConnections()
	if log, code := other.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d\n%s", code, log)
	}
	r.must("audit", "verify")
}

// newCoders gives persons a token each, HOTP and TOTP by turns.
func newCoders(t *testing.T, r *rig, p *pacer, persons, codes int) []*coder {
	t.Helper()
	var all []*coder
	var box []seeded
	for i := range persons {
		kind := []token.Kind{token.HOTP, token.TOTP}[i%2]
		k := randomToken(fmt.Sprintf("KILL%04d", i), kind, 8)
		k.period = codeSteps * paceStep
		c := &coder{account: fmt.Sprint("user", i), token: k, accepted: map[int64]bool{}}
		if kind == token.HOTP {
			c.codes = k.counted(t, 0, codes)
		} else {
			c.codes = k.timed(t, p.from, codes)
		}
		all, box = append(all, c), append(box, k)
	}
	r.must("keyfile", "import", vendorFile(t, box...))
	for _, c := range all {
		r.must("person", "add", c.account)
		walker{rig: r, t: t}.typing(c.codes[0])
		r.must("token", "issue", c.token.serial, "--to", c.account, "--id-check", "known")
		c.accepted[0], c.order, c.next = true, []int64{0}, 1
	}
	return all
}
