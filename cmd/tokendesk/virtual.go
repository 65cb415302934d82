package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/usbhid/usbfs"
)

var (
	_ bus     = virtualBus{}
	_ cardBus = virtualBus{}
)

// virtualBus is a bus with one virtual key, for the demo alone. Waiting for a touch is answered by one, of the slot.
type virtualBus struct {
	key  *vkey.Key
	slot int
}

func (b virtualBus) find() ([]usbhid.Attached, error) {
	u := b.key.USB()
	m, _ := usbhid.ModelOf(u.PID)
	v := b.key.Profile().Version
	return []usbhid.Attached{{
		Path: "virtual", Model: m, Product: u.Product, SerialUSB: u.Serial, Firmware: v.String(),
		OTP: m.Interfaces.Has(usbhid.OTP), Driver: "none",
	}}, nil
}

func (b virtualBus) watch(ctx context.Context, _ <-chan time.Time) iter.Seq2[usbhid.Event, error] {
	return func(yield func(usbhid.Event, error) bool) {
		all, err := b.find()
		for _, k := range all {
			if !yield(usbhid.Event{Arrived: true, Key: k}, err) {
				return
			}
		}
		<-ctx.Done()
	}
}

func (b virtualBus) open(context.Context, usbhid.Attached, transport) (usbhid.Device, error) {
	c, err := b.key.Open()
	if err != nil {
		return nil, fmt.Errorf("virtual key: %w", err)
	}
	return &touchedConn{Conn: c, touch: func() { b.key.Touch(b.slot) }}, nil
}

// cards is empty: there is no reader whose key is not found on USB.
func (virtualBus) cards(context.Context) ([]usbhid.Attached, error) { return nil, nil }

// openCard holds the card, and as the lock that usbBus takes, the keyboard interface.
func (b virtualBus) openCard(context.Context, usbhid.Attached) (heldCard, error) {
	lock, err := b.key.Open()
	if err != nil && !errors.Is(err, vkey.ErrNoOTP) {
		return nil, fmt.Errorf("virtual key: %w", err)
	}
	c := &virtualCard{b.key.Card(), lock}
	if !c.Present() {
		return nil, errors.Join(fmt.Errorf("virtual key: %w", vkey.ErrNoCard), c.Close())
	}
	return c, nil
}

// virtualCard is the smart card of a virtual key, nothing selected at first.
type virtualCard struct {
	*vkey.Card
	lock *vkey.Conn // nil: a key without keyboard interface
}

// Transmit runs one command.
func (c *virtualCard) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.Card.Transmit(command)
}

// Close gives the card back.
func (c *virtualCard) Close() error {
	c.Reset()
	if c.lock == nil {
		return nil
	}
	return c.lock.Close()
}

func (virtualBus) reattach() ([]usbfs.Reattached, error) { return nil, nil }

func (virtualBus) udevRule() (installed, needed bool) { return false, false }

// touchedConn touches the key when somebody begins to wait for what it types.
type touchedConn struct {
	*vkey.Conn
	touch   func()
	touched bool
}

// ReadInput touches once per handle and then reads.
func (c *touchedConn) ReadInput(ctx context.Context) (usbhid.Report, error) {
	if !c.touched {
		c.touched = true
		c.touch()
	}
	return c.Conn.ReadInput(ctx)
}
