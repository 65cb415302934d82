// Package pcsc reaches YubiKeys through the system's smart-card service: pcscd on Linux, what macOS and Windows bring
// along. It lists readers, holds one card exclusively, and carries commands; what they mean is package ykslot's business.
//
//	s := pcsc.System()
//	readers, err := s.Readers(ctx)
//	card, err := s.Open(ctx, readers[0].Name)
//	defer card.Close()
//	session, err := ykslot.OpenCard(ctx, card)
//
// Built with cgo, or for Windows; elsewhere every call says that it is not part of this build. Nothing here starts, stops
// or kills another program: one that holds the card is waited for, for three to ten seconds, and then named as well as can be.
package pcsc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/usbhid"
)

// What callers branch on, beside usbhid's ErrBusy (by a *HeldError), ErrGone, ErrTimeout and ErrNotBuiltIn.
var (
	// ErrNoService: there is no smart-card service, or it does not run.
	ErrNoService = errors.New("the smart-card service is not running")
	// ErrDenied: the service refuses this user; on Linux a rule of polkit's says who may.
	ErrDenied = errors.New("the smart-card service does not let this user in")
	// ErrNoCard: the reader is empty, or its card does not answer.
	ErrNoCard = errors.New("there is no card in the reader, or it does not answer")
)

// HeldError: another program holds the card. It wraps usbhid.ErrBusy.
type HeldError struct {
	Reader string
	// By are the running programs that may be it, as far as can be seen: on Linux those that are connected to the service.
	By []Holder
}

// Error names the reader and the programs.
func (e *HeldError) Error() string {
	text := fmt.Sprintf("another program holds the smart card in %q", e.Reader)
	for i, h := range e.By {
		text += [...]string{": it may be ", " or "}[min(i, 1)] + h.String()
	}
	return text
}

// Unwrap is usbhid.ErrBusy.
func (e *HeldError) Unwrap() error { return usbhid.ErrBusy }

// Reader is one reader, as the service lists it.
type Reader struct {
	Name string
	ATR  []byte // of its card; nil without one
	Held bool   // a program holds the card exclusively
}

// service is PC/SC, narrowed to what is used; a fake in tests.
type service interface {
	// readers lists them; none is no error.
	readers() ([]Reader, error)
	// connect holds the card in a reader exclusively. usbhid.ErrBusy: somebody else has it.
	connect(reader string) (handle, error)
	// release ends the use of the service, and with it what is still held.
	release() error
}

// handle is a card that is held.
type handle interface {
	transmit(command []byte) ([]byte, error)
	atr() ([]byte, error)
	// port is where on USB the reader is, if the service tells.
	port() (bus, address int, ok bool)
	// disconnect gives the card back.
	disconnect() error
}

// Service is the way to the smart-card service. It may be used by several goroutines.
type Service struct {
	establish func() (service, error)
	pause     func(context.Context, time.Duration) error
	after     func(time.Duration) <-chan time.Time
}

// How long another program is waited for: as yubikit does, reference yubikey-otp.md §5.
const (
	heldTries = 6
	heldPause = 500 * time.Millisecond
	// heldWait is for one try: pcscd itself waits, without end, while another program is in a transaction (observed with 1.9.9). On a busy
	// machine an answer takes seconds without any.
	heldWait = 10 * time.Second
)

// System is the system's service. Nothing is opened before a method is called.
func System() *Service { return &Service{establish: establish, pause: sleep, after: time.After} }

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Readers lists the readers, of all makers. It does not talk to their cards. Errors wrap ErrNoService, ErrDenied or
// usbhid.ErrNotBuiltIn.
func (s *Service) Readers(ctx context.Context) ([]Reader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sc, err := s.establish()
	if err != nil {
		return nil, fmt.Errorf("smart cards: %w", err)
	}
	list, err := sc.readers()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("smart cards: list readers: %w", err), sc.release())
	}
	return list, sc.release()
}

// Open holds the card in a reader exclusively. While another program holds it, it is tried again, for three seconds; where the service waits
// itself, that is given up after ten.
// Errors wrap those of Readers, usbhid.ErrBusy (a *HeldError), usbhid.ErrGone or ErrNoCard. The caller closes the card.
func (s *Service) Open(ctx context.Context, reader string) (*Card, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sc, err := s.establish()
	if err != nil {
		return nil, fmt.Errorf("smart card: %w", err)
	}
	h, err := s.connect(ctx, sc, reader)
	if err != nil {
		return nil, fmt.Errorf("smart card in %q: %w", reader, err)
	}
	c := &Card{reader: reader, service: sc, handle: h, after: s.after}
	if c.answer, err = h.atr(); err != nil {
		return nil, errors.Join(fmt.Errorf("smart card in %q: %w", reader, err), c.Close())
	}
	return c, nil
}

// connect holds the card. After an error the use of the service has ended, or ends as soon as the service lets it.
func (s *Service) connect(ctx context.Context, sc service, reader string) (handle, error) {
	for try := 1; ; try++ {
		h, given, err := s.try(ctx, sc, reader)
		switch {
		case err == nil:
			return h, nil
		case given:
			return nil, err
		case !errors.Is(err, usbhid.ErrBusy):
		case try == heldTries:
			err = Held(reader)
		default:
			if err = s.pause(ctx, heldPause); err == nil {
				continue
			}
		}
		return nil, errors.Join(err, sc.release())
	}
}

// try connects once. given says that it was given up, and that the use of the service ends when it comes back after all.
func (s *Service) try(ctx context.Context, sc service, reader string) (_ handle, given bool, _ error) {
	type result struct {
		h   handle
		err error
	}
	done := make(chan result, 1)
	go func() {
		h, err := sc.connect(reader)
		done <- result{h, err}
	}()
	var why error
	select {
	case r := <-done:
		return r.h, false, r.err
	case <-ctx.Done():
		why = ctx.Err()
	case <-s.after(heldWait):
		why = Held(reader)
	}
	go func() {
		if r := <-done; r.err == nil {
			_ = r.h.disconnect()
		}
		_ = sc.release()
	}()
	return nil, true, why
}
