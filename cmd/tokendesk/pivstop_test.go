package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"os"
	"strconv"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/usbhid"
)

// stopPIVAt has the program wait to be killed before the n-th moment, where the variable STOP_PIV names one: there is a moment before
// and one after each command that changes the PIV application.
func stopPIVAt(e *env, real usbBus) {
	e.bus = real
	if n, err := strconv.ParseInt(os.Getenv("STOP_PIV"), 10, 64); err == nil {
		e.bus = stoppingPIVBus{real, &stopper{n: n, say: e.stderr}}
	}
}

type stoppingPIVBus struct {
	usbBus
	s *stopper
}

func (b stoppingPIVBus) openPIV(ctx context.Context, k usbhid.Attached) (piv.Card, error) {
	card, err := b.usbBus.openPIV(ctx, k)
	if err != nil {
		return nil, err
	}
	return stoppingPIV{card, b.s}, nil
}

type stoppingPIV struct {
	piv.Card
	s *stopper
}

func (c stoppingPIV) around(change func() error) error {
	c.s.step()
	err := change()
	c.s.step()
	return err
}

func (c stoppingPIV) ChangePIN(ctx context.Context, old, fresh secret.Bytes) error {
	return c.around(func() error { return c.Card.ChangePIN(ctx, old, fresh) })
}

func (c stoppingPIV) ChangePUK(ctx context.Context, old, fresh secret.Bytes) error {
	return c.around(func() error { return c.Card.ChangePUK(ctx, old, fresh) })
}

func (c stoppingPIV) Unblock(ctx context.Context, puk, fresh secret.Bytes) error {
	return c.around(func() error { return c.Card.Unblock(ctx, puk, fresh) })
}

func (c stoppingPIV) SetManagementKey(ctx context.Context, old, fresh secret.Bytes) error {
	return c.around(func() error { return c.Card.SetManagementKey(ctx, old, fresh) })
}

func (c stoppingPIV) SetRetries(ctx context.Context, management, pin secret.Bytes, pinTries, pukTries int) error {
	return c.around(func() error { return c.Card.SetRetries(ctx, management, pin, pinTries, pukTries) })
}

func (c stoppingPIV) Reset(ctx context.Context) error {
	return c.around(func() error { return c.Card.Reset(ctx) })
}

func (c stoppingPIV) PutObject(ctx context.Context, management secret.Bytes, o piv.Object, value []byte) error {
	return c.around(func() error { return c.Card.PutObject(ctx, management, o, value) })
}

func (c stoppingPIV) SetCertificate(ctx context.Context, management secret.Bytes, s piv.Slot, cert *x509.Certificate) error {
	return c.around(func() error { return c.Card.SetCertificate(ctx, management, s, cert) })
}

func (c stoppingPIV) Generate(ctx context.Context, management secret.Bytes, s piv.Slot, k piv.KeySpec) (public crypto.PublicKey, err error) {
	err = c.around(func() error {
		public, err = c.Card.Generate(ctx, management, s, k)
		return err
	})
	return public, err
}
