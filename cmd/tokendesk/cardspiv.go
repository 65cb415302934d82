package main

import (
	"context"
	"errors"

	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/piv/pivhw"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/usbhid/usbfs"
)

var _ pivBus = usbBus{}

// openPIV holds the PIV application of a key: the reader is found as openCard does, with the same doubt about which of several keys it is.
func (b usbBus) openPIV(ctx context.Context, k usbhid.Attached) (piv.Card, error) {
	if k.Reader != "" {
		return b.pivIn(ctx, k.Reader, nil)
	}
	lock, err := usbfs.Acquire(k) // against other processes that use the keyboard interface
	if errors.Is(err, usbhid.ErrBusy) || errors.Is(err, usbhid.ErrGone) {
		return nil, err
	}
	card, err := b.cardOf(ctx, k)
	if err != nil {
		return nil, errors.Join(err, closeLock(lock))
	}
	reader := card.Reader()
	if err := card.Close(); err != nil {
		return nil, errors.Join(err, closeLock(lock))
	}
	return b.pivIn(ctx, reader, lock)
}

func (b usbBus) pivIn(ctx context.Context, reader string, lock *usbfs.Lock) (piv.Card, error) {
	card, err := pivhw.Open(ctx, b.readers, reader)
	if err != nil {
		return nil, errors.Join(err, closeLock(lock))
	}
	return lockedPIV{card, lock}, nil
}

// lockedPIV is the PIV application of a key that is locked as it is for the keyboard interface.
type lockedPIV struct {
	*pivhw.Card
	lock *usbfs.Lock // nil: a key in a reader
}

// Close gives the card back, and the lock.
func (c lockedPIV) Close() error { return errors.Join(c.Card.Close(), closeLock(c.lock)) }
