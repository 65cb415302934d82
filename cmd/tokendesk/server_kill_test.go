package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	weak "math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// presser presses a key that was programmed elsewhere and imported, and remembers what it was answered. One goroutine owns it.
type presser struct {
	publicID []byte
	drawn    []byte // AES key and private ID
	cipher   yubiotp.Cipher
	pressed  uint32          // the newest OTP, by its place in the order of presses: UseCounter·256 + SessionCounter
	accepted []uint32        // those that were answered OK, rising
	open     uint32          // one that was sent and not answered; 0: none
	counted  int             // open ones that had been accepted all the same
	heard    chan<- struct{} // told of each OK, as far as it listens
}

// newPresser draws the i-th key.
func newPresser(t testing.TB, i int) *presser {
	t.Helper()
	b := make([]byte, 16+6)
	_, _ = rand.Read(b) // never fails
	c, err := yubiotp.NewCipher(secret.Copy(b[:16]), secret.Copy(b[16:]))
	if err != nil {
		t.Fatal(err)
	}
	return &presser{publicID: []byte{0xff, 0, 0, 0, 1, byte(i)}, drawn: b, cipher: c, pressed: 1 << 8}
}

// importPressers makes keys and imports them, as a Yubico CSV.
func importPressers(t testing.TB, r *rig, n int) []*presser {
	t.Helper()
	var all []*presser
	var csv bytes.Buffer
	for i := range n {
		p := newPresser(t, i)
		fmt.Fprintf(&csv, "%d,%s,%x,%x,,2026-01-02T03:04:05,\n", 1001+i, modhex.EncodeToString(p.publicID), p.drawn[16:], p.drawn[:16])
		all = append(all, p)
	}
	file := filepath.Join(t.TempDir(), "keys.csv")
	if err := os.WriteFile(file, csv.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	r.must("keyfile", "import", file)
	return all
}

// otp is what the key typed at a press, always the same text.
func (p *presser) otp(order uint32) string {
	block := p.cipher.Seal(yubiotp.Token{UseCounter: uint16(order >> 8), SessionCounter: uint8(order), Timestamp: 8 * order & 0xffffff})
	return yubiotp.Join(p.publicID, block)
}

// ask submits a press and wants one of the statuses.
func (p *presser) ask(t *testing.T, a *asker, s *server, order uint32, want ...string) (string, error) {
	status, err := a.status(t.Context(), s, p.otp(order), a.nonce())
	if err != nil {
		return "", err
	}
	for _, w := range want {
		if status == w {
			return status, nil
		}
	}
	return "", fmt.Errorf("%s for press %d, want %q; accepted so far: %d, the newest %d", status, order, want, len(p.accepted), p.newest())
}

func (p *presser) newest() uint32 {
	if len(p.accepted) == 0 {
		return 0
	}
	return p.accepted[len(p.accepted)-1]
}

// settle asks about what was answered OK last before the kill, which must be counted, and about what was not answered, which
// may be: then it counts now.
func (p *presser) settle(t *testing.T, a *asker, s *server) error {
	if p.newest() > 0 {
		if _, err := p.ask(t, a, s, p.newest(), "REPLAYED_OTP"); err != nil {
			return err
		}
	}
	if p.open == 0 {
		return nil
	}
	status, err := p.ask(t, a, s, p.open, "OK", "REPLAYED_OTP")
	if err != nil {
		return err
	}
	if status == "OK" {
		p.accepted = append(p.accepted, p.open)
	} else {
		p.counted++
	}
	p.open = 0
	return nil
}

// load sends fresh OTPs, each of which must be accepted, and older ones, which must not, until the server is silent.
func (p *presser) load(t *testing.T, a *asker, s *server) error {
	for {
		p.pressed++
		p.open = p.pressed
		if _, err := p.ask(t, a, s, p.open, "OK"); err != nil {
			return err
		}
		p.accepted, p.open = append(p.accepted, p.open), 0
		select {
		case p.heard <- struct{}{}:
		default:
		}
		if p.pressed%4 == 0 {
			if err := p.askOlder(t, a, s); err != nil {
				return err
			}
		}
	}
}

// askOlder submits one that was accepted at any time.
func (p *presser) askOlder(t *testing.T, a *asker, s *server) error {
	_, err := p.ask(t, a, s, p.accepted[weak.IntN(len(p.accepted))], "REPLAYED_OTP")
	return err
}

// each lets all pressers do something at once. The server may fall silent; anything else is an error.
func each(t *testing.T, all []*presser, do func(p *presser) error) (wait func()) {
	var work sync.WaitGroup
	for _, p := range all {
		work.Go(func() {
			if err := do(p); err != nil && !errors.Is(err, errSilent) {
				t.Errorf("key %s: %v", hex.EncodeToString(p.publicID), err)
			}
		})
	}
	return work.Wait
}

// TestServerKilledForgetsNothing kills server processes (kill -9) at random moments under load. Whatever was answered OK
// before a kill is not answered OK after it, neither by the next process, which may have to recover the store alone, nor by
// one that has been running beside; what was in flight counts once. TOKENDESK_KILLS sets how often in all; 200 unless told.
func TestServerKilledForgetsNothing(t *testing.T) {
	t.Parallel()
	kills := 200
	if v, err := strconv.Atoi(os.Getenv("TOKENDESK_KILLS")); err == nil {
		kills = v
	} else if testing.Short() {
		kills = 10
	}
	for _, tc := range []struct {
		name   string
		beside bool
	}{{"alone", false}, {"beside another", true}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			killServers(t, kills/2, tc.beside)
		})
	}
}

// randomMoment is some microseconds after one of the first accepted OTPs, or before them: counted, not timed, so that a slow
// machine has as many.
func randomMoment(heard <-chan struct{}) {
	const silence = 5 * time.Second
	for range weak.IntN(40) {
		select {
		case <-heard:
		case <-time.After(silence):
			return
		}
	}
	<-time.After(time.Duration(weak.IntN(5000)) * time.Microsecond)
}

// killServers kills one server after the other.
func killServers(t *testing.T, kills int, beside bool) {
	r := newRig(t, 2)
	r.must("init")
	pressers := importPressers(t, r, 8)
	a := newAsker(t, r.client("mail"))
	var other *server
	if beside {
		other = r.serve("--limit", "0")
	}
	start := time.Now()
	for n := range kills {
		s := r.serve("--limit", "0")
		witness := s
		if beside {
			witness = other
		}
		heard := make(chan struct{}, 64)
		wait := each(t, pressers, func(p *presser) error {
			p.heard = heard
			if err := p.settle(t, a, witness); err != nil {
				return err
			}
			return p.load(t, a, s)
		})
		randomMoment(heard)
		s.stop(t, os.Kill)
		wait()
		if t.Failed() {
			t.Fatalf("after %d kills", n)
		}
	}
	last := r.serve("--limit", "0")
	each(t, pressers, func(p *presser) error {
		err := p.settle(t, a, last)
		for i := 0; i < 50 && err == nil && p.newest() > 0; i++ {
			err = p.askOlder(t, a, last)
		}
		if err != nil { // also silence
			t.Error(err)
		}
		return nil
	})()
	accepted, counted := 0, 0
	for _, p := range pressers {
		accepted, counted = accepted+len(p.accepted), counted+p.counted
	}
	t.Logf("%d kills, %d OTPs accepted, %d more accepted without an answer, %d questions repeated, %v",
		kills, accepted, counted, a.again.Load(), time.Since(start).Round(time.Millisecond))
	if accepted < kills/2 {
		t.Errorf("only %d OTPs accepted over %d kills", accepted, kills)
	}
	a.hangUp()
	if log, code := last.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d\n%s", code, log)
	}
	r.must("audit", "verify")
}
