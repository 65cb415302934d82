package main

import (
	"context"
	"errors"
	"io"
	"runtime"

	"github.com/tokendesk/tokendesk/provision/pcsc"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/usbhid/usbfs"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// cardBus is a bus whose keys can also be reached as smart cards.
type cardBus interface {
	// cards lists the keys in smart-card readers, each with the name of its reader.
	cards(ctx context.Context) ([]usbhid.Attached, error)
	// openCard holds the card of a key until it is closed.
	openCard(ctx context.Context, k usbhid.Attached) (heldCard, error)
}

// heldCard is a smart card that is held.
type heldCard interface {
	apdu.Transmitter
	io.Closer
}

var _ cardBus = usbBus{}

// cards lists the keys in smart-card readers. A reader that bears a key's name and is empty is one only if there is no other: virtual
// readers come in pairs. On Windows the service runs only while there is a reader.
func (b usbBus) cards(ctx context.Context) ([]usbhid.Attached, error) {
	list, err := b.readers.Readers(ctx)
	if errors.Is(err, pcsc.ErrNoService) && runtime.GOOS == "windows" {
		err = nil
	}
	var keys, empty []usbhid.Attached
	for _, r := range list {
		m, ok := r.Key()
		k := usbhid.Attached{Path: r.Name, Model: m, Product: r.Name, Reader: r.Name}
		switch {
		case ok && r.ATR != nil:
			keys = append(keys, k)
		case ok:
			empty = append(empty, k)
		}
	}
	if len(keys) == 0 {
		keys = empty
	}
	return keys, err
}

// openCard finds the reader of a key that the system shows on USB: by bus and address where the reader tells them; otherwise by the name,
// which says what kind of key it is, and among several of one kind in their order. That may be another key of that kind: who
// wants a certain one compares the serial number.
func (b usbBus) openCard(ctx context.Context, k usbhid.Attached) (heldCard, error) {
	if k.Reader != "" {
		card, err := b.readers.Open(ctx, k.Reader)
		if err != nil {
			return nil, err
		}
		return card, nil
	}
	lock, err := usbfs.Acquire(k) // against other processes that use the keyboard interface
	if errors.Is(err, usbhid.ErrBusy) || errors.Is(err, usbhid.ErrGone) {
		return nil, err
	}
	card, err := b.cardOf(ctx, k)
	if err != nil {
		return nil, errors.Join(err, closeLock(lock))
	}
	return lockedCard{card, lock}, nil
}

// lockedCard is a card whose key is locked as it is for the keyboard interface.
type lockedCard struct {
	*pcsc.Card
	lock *usbfs.Lock
}

// Close gives the card back, and the lock.
func (c lockedCard) Close() error { return errors.Join(c.Card.Close(), closeLock(c.lock)) }

func closeLock(l *usbfs.Lock) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

func (b usbBus) cardOf(ctx context.Context, k usbhid.Attached) (*pcsc.Card, error) {
	list, err := b.readers.Readers(ctx)
	if err != nil {
		return nil, err
	}
	var kin []string
	for _, r := range list {
		if m, ok := r.Key(); ok && m.ProductID == k.Model.ProductID {
			kin = append(kin, r.Name)
		}
	}
	var untold []string // readers that do not tell where they are
	var failed error
	for _, name := range kin {
		card, err := b.readers.Open(ctx, name)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		bus, address, told := card.Port()
		if told && bus == k.Bus && address == k.Address || len(kin) == 1 && !told {
			return card, nil
		}
		if !told {
			untold = append(untold, name)
		}
		if err := card.Close(); err != nil {
			return nil, err
		}
	}
	if n := b.rank(k); n < len(untold) {
		return b.readers.Open(ctx, untold[n])
	}
	if failed != nil {
		return nil, failed
	}
	return nil, problemf(exitDevice, "no smart-card reader belongs to the key at %s", k.Path).
		hint("pcscd shows it within a second or two of plugging in; tokendesk doctor says whether it runs")
}

// rank is how many keys of the same kind come before a key.
func (b usbBus) rank(k usbhid.Attached) int {
	all, _ := usbhid.Find(b.sys) // without it there is one kind of order
	n := 0
	for _, other := range all {
		if other.Path == k.Path {
			break
		}
		if other.Model.ProductID == k.Model.ProductID {
			n++
		}
	}
	return n
}

// reaches reports whether a transport gets at a key's slots. With auto a smart card is taken only where the key has its OTP application
// there without the keyboard interface: in readers, and in a NEO.
func (a *app) reaches(t transport, k usbhid.Attached) bool {
	_, cards := a.bus.(cardBus)
	cards = cards && k.Model.Interfaces.Has(usbhid.CCID)
	switch {
	case t == viaCCID:
		return cards
	case t != auto || k.OTP:
		return k.OTP
	}
	neo := k.Model.Family == usbhid.FamilyNEO
	return cards && (neo || k.Reader != "" && (k.Model.Interfaces.Has(usbhid.OTP) || k.Model.ProductID == 0))
}

// attached lists the keys that a transport may get at. With ccid these are also keys in readers that are no USB devices here.
func (a *app) attached(ctx context.Context, t transport) ([]usbhid.Attached, error) {
	all, err := a.bus.find()
	b, ok := a.bus.(cardBus)
	if t != viaCCID || !ok {
		return all, err
	}
	cards, cardErr := b.cards(ctx)
	if cardErr != nil {
		return nil, cardErr
	}
	shown := map[uint16]bool{}
	for _, k := range all {
		shown[k.Model.ProductID] = true
	}
	for _, k := range cards {
		if !shown[k.Model.ProductID] {
			all = append(all, k)
		}
	}
	return all, nil
}
