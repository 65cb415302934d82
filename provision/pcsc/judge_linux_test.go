//go:build cgo && !nopcsc

package pcsc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ebfe/scard"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/vpcd"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// envRole says what a process of this test binary does for TestPCSCD: libpcsclite reads where pcscd is once in a process.
const envRole = "TOKENDESK_PCSC_ROLE"

const judgeSerial = 7654321

// patience is how long a change is waited for on a busy machine.
const patience = time.Minute

// TestPCSCD uses Debian's pcscd: it finds a virtual key by its reader's name, holds it, is refused a card that is held, and notices the key
// going and coming.
func TestPCSCD(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "pcsc") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	key := vkey.New(vkey.YubiKey571, vkey.Options{Serial: judgeSerial})
	d, err := vpcd.Start(t.Context(), dir, key)
	if errors.Is(err, vpcd.ErrMissing) && os.Getenv("TOKENDESK_JUDGES") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	asked := play(t, "user", d.Env(), map[string]func(){"pull": key.Unplug, "plug": key.Plug})
	if want := "pull plug"; asked != want {
		t.Errorf("the user asked for %q, want %q", asked, want)
	}
	if key.Slot(2).Kind != vkey.YubicoOTP {
		t.Errorf("slot 2 holds %v", key.Slot(2).Kind)
	}
}

// TestHeldByOther: another process holds the card as scdaemon does, shared and in a transaction. It is waited for, then named; once it lets go, the
// card is ours.
func TestHeldByOther(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "pcsc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d, err := vpcd.Start(t.Context(), dir, vkey.New(vkey.YubiKey571, vkey.Options{Serial: judgeSerial}))
	if errors.Is(err, vpcd.ErrMissing) && os.Getenv("TOKENDESK_JUDGES") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	holds, let, gone := make(chan bool), make(chan bool), make(chan bool)
	asked := play(t, "waiter", d.Env(), map[string]func(){
		"hold": func() {
			go func() {
				defer close(gone)
				play(t, "holder", d.Env(), map[string]func(){"holds": func() { close(holds); <-let }})
			}()
			select {
			case <-holds:
			case <-gone:
			}
		},
		"let": func() { close(let); <-gone },
	})
	if want := "hold let"; asked != want {
		t.Errorf("asked for %q, want %q", asked, want)
	}
}

// TestNoPCSCD: without pcscd there is an error that says so.
func TestNoPCSCD(t *testing.T) {
	t.Parallel()
	play(t, "alone", "PCSCLITE_CSOCK_NAME="+t.TempDir()+"/none", nil)
}

// play runs this test binary in a role and does what it asks for, a line each; it returns what was asked.
func play(t *testing.T, role, env string, do map[string]func()) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestRole$", "-test.v")
	cmd.Env = append(os.Environ(), env, envRole+"="+role)
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
	var asked []string
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		verb, ok := strings.CutPrefix(lines.Text(), "@@")
		if !ok {
			fmt.Fprintln(&said, lines.Text())
			continue
		}
		asked = append(asked, verb)
		do[verb]()
		fmt.Fprintln(in, "done")
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(said.String(), "--- PASS: TestRole") {
		t.Fatalf("%s: %v\n%s", role, err, said.String())
	}
	return strings.Join(asked, " ")
}

// TestRole is the other process of the tests above.
func TestRole(t *testing.T) {
	switch os.Getenv(envRole) {
	case "user":
		roleUser(t)
	case "waiter":
		roleWaiter(t)
	case "holder":
		roleHolder(t)
	case "alone":
		for name, err := range map[string]error{"list": second(System().Readers(t.Context())), "open": second(System().Open(t.Context(), "R"))} {
			if !errors.Is(err, ErrNoService) {
				t.Errorf("%s: %v, want ErrNoService", name, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

// ask lets the test do something.
func ask(t *testing.T, answers *bufio.Reader, verb string) {
	t.Helper()
	fmt.Println("@@" + verb)
	if _, err := answers.ReadString('\n'); err != nil && err != io.EOF {
		t.Fatal(err)
	}
}

func roleUser(t *testing.T) {
	ctx, s, answers := t.Context(), System(), bufio.NewReader(os.Stdin)
	name := waitForKey(t, s)
	card, err := s.Open(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	defer card.Close()
	key, err := ykslot.OpenCard(ctx, card)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := key.Serial(ctx); err != nil || n != judgeSerial || len(card.ATR()) == 0 {
		t.Errorf("serial %d, %v, ATR %x", n, err, card.ATR())
	}
	impatient := &Service{establish: establish, pause: func(context.Context, time.Duration) error { return nil }, after: time.After}
	var held *HeldError
	if _, err := impatient.Open(ctx, name); !errors.As(err, &held) {
		t.Errorf("while it is held: %v, want a HeldError", err)
	}
	b := []byte("0123456789abcdef")
	cfg, err := ykslot.YubicoOTP{PublicID: []byte("public"), PrivateID: secret.New(b[:6]), Key: secret.New(b), Flags: ykslot.TypingFlags(key.Status().Version)}.Config()
	if err == nil {
		err = key.Write(ctx, ykslot.Slot2, cfg, secret.Bytes{})
	}
	if err != nil {
		t.Error(err)
	}
	ask(t, answers, "pull")
	until(t, func() bool {
		_, err = key.ReadStatus(ctx)
		return err != nil
	})
	if !errors.Is(err, usbhid.ErrGone) && !errors.Is(err, ErrNoCard) {
		t.Errorf("after it was pulled out: %v", err)
	}
	if err := card.Close(); err != nil {
		t.Errorf("close what is gone: %v", err)
	}
	until(t, func() bool { // pcscd looks twice a second
		var still *Card
		if still, err = s.Open(ctx, name); err == nil {
			err = still.Close()
			return err != nil
		}
		return true
	})
	if !errors.Is(err, ErrNoCard) && !errors.Is(err, usbhid.ErrGone) {
		t.Errorf("open what is gone: %v", err)
	}
	ask(t, answers, "plug")
	card, err = s.Open(ctx, waitForKey(t, s))
	if err != nil {
		t.Fatal(err)
	}
	if key, err = ykslot.OpenCard(ctx, card); err != nil || !key.Status().Configured(ykslot.Slot2) {
		t.Errorf("plugged in again: %v", err)
	}
	if err := card.Close(); err != nil {
		t.Error(err)
	}
}

func roleWaiter(t *testing.T) {
	ctx, answers := t.Context(), bufio.NewReader(os.Stdin)
	name := waitForKey(t, System())
	ask(t, answers, "hold")
	s, pauses := System(), 0
	s.after = func(d time.Duration) <-chan time.Time { return time.After(min(d, 500*time.Millisecond)) }
	s.pause = func(context.Context, time.Duration) error { pauses++; return nil }
	var held *HeldError
	if _, err := s.Open(ctx, name); !errors.As(err, &held) {
		t.Fatalf("%v after %d pauses", err, pauses)
	}
	if len(held.By) != 1 || !strings.HasPrefix(held.By[0].Name, "pcsc") || held.By[0].Process == os.Getpid() {
		t.Errorf("held by %v", held.By)
	}
	s = System()
	once := sync.OnceFunc(func() { ask(t, answers, "let") })
	s.after = func(time.Duration) <-chan time.Time { // again, where what was given up above has got the card for a moment
		once()
		return time.After(patience)
	}
	card, err := s.Open(ctx, name)
	if err != nil {
		t.Fatalf("once it was free: %v", err)
	}
	if err := card.Close(); err != nil {
		t.Error(err)
	}
}

// roleHolder holds the card shared, in a transaction.
func roleHolder(t *testing.T) {
	name := waitForKey(t, System())
	c, err := scard.EstablishContext()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	card, err := c.Connect(name, scard.ShareShared, scard.ProtocolAny)
	if err == nil {
		err = card.BeginTransaction()
	}
	if err != nil {
		t.Fatal(err)
	}
	ask(t, bufio.NewReader(os.Stdin), "holds")
	if err := errors.Join(card.EndTransaction(scard.LeaveCard), card.Disconnect(scard.LeaveCard)); err != nil {
		t.Error(err)
	}
}

// waitForKey is the name of the reader in which a key was found.
func waitForKey(t *testing.T, s *Service) (name string) {
	t.Helper()
	until(t, func() bool {
		list, err := s.Readers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if m, ok := r.Key(); ok && len(r.ATR) > 0 && m.Interfaces == usbhid.OTP|usbhid.FIDO|usbhid.CCID {
				name = r.Name
			}
		}
		return name != ""
	})
	return name
}

func until(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		if time.Now().After(deadline) {
			t.Fatal("nothing changed")
		}
		runtimePause()
	}
}

// runtimePause keeps a poll from taking the processor.
func runtimePause() { <-time.After(5 * time.Millisecond) }
