package main

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/usbhid/usbfs"
)

var _ bus = virtualBus{}

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
