package pcsc

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/usbhid"
)

// fake is a service with one reader.
type fake struct {
	down     error // establish fails with it
	held     int   // how often connect finds the card held
	refuse   error // connect fails with it
	answer   func(command []byte) ([]byte, error)
	stuck    chan bool // connect waits for it, as pcscd does for another program's transaction
	connects int
	open     int // handles and uses of the service not given back
}

func (f *fake) service() *Service {
	return &Service{
		establish: func() (service, error) {
			if f.down != nil {
				return nil, f.down
			}
			f.open++
			return f, nil
		},
		pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		after: func(time.Duration) <-chan time.Time { return nil },
	}
}

func (f *fake) readers() ([]Reader, error) { return []Reader{{Name: "R"}}, nil }

func (f *fake) connect(string) (handle, error) {
	if f.stuck != nil {
		<-f.stuck
	}
	if f.connects++; f.connects <= f.held {
		return nil, usbhid.ErrBusy
	}
	if f.refuse != nil {
		return nil, f.refuse
	}
	f.open++
	return f, nil
}

func (f *fake) release() error                          { f.open--; return nil }
func (f *fake) transmit(command []byte) ([]byte, error) { return f.answer(command) }
func (f *fake) atr() ([]byte, error)                    { return []byte{0x3B}, nil }
func (f *fake) port() (bus, address int, ok bool)       { return 0, 0, false }
func (f *fake) disconnect() error                       { f.open--; return nil }

func TestOpenWaitsForOthers(t *testing.T) {
	t.Parallel()
	f := &fake{held: heldTries - 1}
	c, err := f.service().Open(t.Context(), "R")
	if err != nil || f.connects != heldTries {
		t.Fatalf("%v after %d", err, f.connects)
	}
	if err := errors.Join(c.Close(), c.Close()); err != nil || f.open != 0 {
		t.Errorf("%v, %d left open", err, f.open)
	}
	f = &fake{held: 100}
	var held *HeldError
	if _, err := f.service().Open(t.Context(), "R"); !errors.As(err, &held) || held.Reader != "R" || !errors.Is(err, usbhid.ErrBusy) {
		t.Errorf("%v, want a HeldError", err)
	}
	if f.connects != heldTries || f.open != 0 {
		t.Errorf("%d tries, %d left open", f.connects, f.open)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f = &fake{held: 100}
	s := f.service()
	s.pause = func(ctx context.Context, _ time.Duration) error { cancel(); return ctx.Err() }
	if _, err := s.Open(ctx, "R"); !errors.Is(err, context.Canceled) || f.connects != 1 || f.open != 0 {
		t.Errorf("cancelled: %v after %d, %d left open", err, f.connects, f.open)
	}
}

// TestOpenIsNotStuck: where the service itself waits for another program, that ends after a while, or with ctx; and what comes then is given back.
func TestOpenIsNotStuck(t *testing.T) {
	t.Parallel()
	for _, cancelled := range []bool{false, true} {
		f := &fake{stuck: make(chan bool)}
		released := make(chan bool)
		s := f.service()
		establish := s.establish
		s.establish = func() (service, error) {
			sc, err := establish()
			return closing{sc, released}, err
		}
		ctx, cancel := context.WithCancel(t.Context())
		s.after = func(d time.Duration) <-chan time.Time {
			if cancelled {
				cancel()
				return nil
			}
			over := make(chan time.Time, 1)
			over <- time.Time{}.Add(d)
			return over
		}
		_, err := s.Open(ctx, "R")
		if held := new(*HeldError); errors.As(err, held) == cancelled || errors.Is(err, context.Canceled) != cancelled {
			t.Errorf("cancelled %t: %v", cancelled, err)
		}
		close(f.stuck)
		<-released
		if f.open != 0 || f.connects != 1 {
			t.Errorf("%d left open after %d tries", f.open, f.connects)
		}
		cancel()
	}
}

// closing is a service whose release is noticed.
type closing struct {
	service
	released chan bool
}

func (c closing) release() error {
	defer close(c.released)
	return c.service.release()
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	for _, f := range []*fake{{down: ErrNoService}, {refuse: usbhid.ErrGone}, {refuse: ErrNoCard}} {
		if _, err := f.service().Open(t.Context(), "R"); !errors.Is(err, f.down) && !errors.Is(err, f.refuse) || f.open != 0 || f.connects > 1 {
			t.Errorf("%v after %d tries, %d left open", err, f.connects, f.open)
		}
	}
	if _, err := (&fake{down: ErrNoService}).service().Readers(t.Context()); !errors.Is(err, ErrNoService) {
		t.Errorf("readers: %v", err)
	}
}

// TestTransmitIsGivenUp: a command that a card works on cannot be ended; its caller need not wait, nothing follows it on the
// card, and Close waits for it. What was sent is kept from a caller who clears its buffer.
func TestTransmitIsGivenUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	let, started, ended := make(chan bool), make(chan bool), make(chan []byte, 1)
	f := &fake{answer: func(b []byte) ([]byte, error) {
		close(started)
		<-let
		ended <- append([]byte(nil), b...)
		return []byte{0x90, 0}, nil
	}}
	c, err := f.service().Open(ctx, "R")
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-started; cancel() }()
	command := []byte{1, 2, 3, 4}
	if _, err := c.Transmit(ctx, command); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	clear(command)
	if _, err := c.Transmit(t.Context(), []byte{0}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a command after it: %v", err)
	}
	close(let)
	if err := c.Close(); err != nil || f.open != 0 {
		t.Errorf("%v, %d left open", err, f.open)
	}
	if got := <-ended; !bytes.Equal(got, []byte{1, 2, 3, 4}) {
		t.Errorf("the card saw %x", got)
	}
}

func TestTransmit(t *testing.T) {
	t.Parallel()
	f := &fake{answer: func(b []byte) ([]byte, error) {
		if b[1] == 0xFF {
			return nil, usbhid.ErrGone
		}
		return []byte{b[1], 0x90, 0}, nil
	}}
	c, err := f.service().Open(t.Context(), "R")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Transmit(t.Context(), []byte{0, 7, 0, 0}); err != nil || !bytes.Equal(got, []byte{7, 0x90, 0}) {
		t.Errorf("%x, %v", got, err)
	}
	if _, err := c.Transmit(context.Background(), []byte{0, 0xFF, 0, 0}); !errors.Is(err, usbhid.ErrGone) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Transmit(ctx, []byte{0, 7, 0, 0}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Transmit(t.Context(), []byte{0, 7, 0, 0}); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func TestReaderKey(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, atr string
		pid       uint16
		ok        bool
	}{
		{"Yubico YubiKey OTP+FIDO+CCID 00 00", "", 0x0407, true},
		{"Yubico YubiKey CCID 01 00", "", 0x0404, true},
		{"Yubico Yubikey 4 OTP+U2F+CCID", "", 0x0407, true},
		{"Yubico YubiKey FIDO+CCID 0", "", 0x0406, true},
		{"Yubico Yubikey NEO OTP+U2F+CCID 00 00", "", 0x0116, true},
		{"Yubico Yubikey NEO CCID 00 00", "", 0x0112, true},
		{"Virtual PCD 00 00", "", 0, false},
		{"ACS ACR122U 00 00", "\x3b\x8d\x80\x01\x80\x73\xc0\x21\xc0\x57YubiKey\xf9", 0, true},
		{"ACS ACR122U 00 00", "\x3b\x8c\x80\x01YubikeyNEOr3\x58", 0, true},
		{"ACS ACR122U 00 00", "\x3b\x8c\x80\x01Other", 0, false},
	} {
		m, ok := Reader{Name: test.name, ATR: []byte(test.atr)}.Key()
		if ok != test.ok || ok && (m.ProductID != test.pid || !m.Interfaces.Has(usbhid.CCID)) {
			t.Errorf("%s: %04x %v, %v", test.name, m.ProductID, m.Interfaces, ok)
		}
	}
}
