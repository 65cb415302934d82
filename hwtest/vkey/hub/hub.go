// Package hub is a USB hub of virtual keys in one process: named ports, keys that are plugged in and pulled out while somebody
// watches, touches, and the counts of control transfers. It stands for usbhid.Watch and the transports in tests of a desk or a
// batch.
//
//	h := hub.New()
//	defer h.Close()
//	h.Plug("1-1.1", vkey.New(vkey.YubiKey543, vkey.Options{Serial: 7654321}))
//	for e, err := range h.Watch(ctx, nil) { ... h.Open(ctx, e.Key) ... }
//	h.Touch("1-1.1", 2)
package hub

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/usbhid"
)

// ErrTaken: a key is in that port already.
var ErrTaken = errors.New("the port is taken")

// Hub has any number of ports. All methods are safe for concurrent use.
type Hub struct {
	mu         sync.Mutex
	ports      map[string]*plugged
	lastNumber int
	changed    chan struct{} // closed and replaced by every change
	work       sync.WaitGroup
	gets, sets int // of keys that were pulled out
}

// plugged is one key in one port, from plugging in to pulling out.
type plugged struct {
	key        *vkey.Key
	at         usbhid.Attached
	gets, sets int // of the key before
}

// New is a hub with nothing in it.
func New() *Hub { return &Hub{ports: map[string]*plugged{}, changed: make(chan struct{})} }

// Close pulls everything out.
func (h *Hub) Close() {
	for _, port := range h.Ports() {
		h.Unplug(port)
	}
	h.work.Wait()
}

// Plug powers a key up in a port, where it gets a new address. A key that pulls itself out by a fault leaves the port, too.
func (h *Hub) Plug(port string, k *vkey.Key) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ports[port] != nil {
		return fmt.Errorf("port %s: %w", port, ErrTaken)
	}
	k.Plug()
	u := k.USB()
	m, _ := usbhid.ModelOf(u.PID)
	h.lastNumber++
	p := &plugged{key: k, at: usbhid.Attached{
		Path: port, Model: m, Product: u.Product, SerialUSB: u.Serial, Firmware: k.Profile().Version.String(),
		OTP: m.Interfaces.Has(usbhid.OTP), Driver: "usbhid", Bus: 1, Address: h.lastNumber,
	}}
	p.gets, p.sets = k.Transfers()
	h.ports[port] = p
	h.change()
	gone := k.Gone()
	h.work.Go(func() {
		<-gone
		h.left(port, p)
	})
	return nil
}

// Unplug pulls out what is in a port, and returns it; nil: nothing was.
func (h *Hub) Unplug(port string) *vkey.Key {
	k := h.Key(port)
	if k == nil {
		return nil
	}
	h.mu.Lock()
	p := h.ports[port]
	h.mu.Unlock()
	k.Unplug()
	h.left(port, p)
	return k
}

// left takes a key off its port; a second call changes nothing.
func (h *Hub) left(port string, p *plugged) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p == nil || h.ports[port] != p {
		return
	}
	gets, sets := p.key.Transfers()
	h.gets, h.sets = h.gets+gets-p.gets, h.sets+sets-p.sets
	delete(h.ports, port)
	h.change()
}

// change wakes whoever watches.
func (h *Hub) change() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// Key is what is in a port; nil: nothing.
func (h *Hub) Key(port string) *vkey.Key {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.ports[port]; p != nil {
		return p.key
	}
	return nil
}

// Ports are those with a key, in their order.
func (h *Hub) Ports() []string {
	list, _ := h.Find()
	var out []string
	for _, a := range list {
		out = append(out, a.Path)
	}
	return out
}

// Touch touches the key in a port, short for slot 1 and long for slot 2; false if nothing is there or the slot types nothing.
func (h *Hub) Touch(port string, slot int) bool {
	k := h.Key(port)
	return k != nil && k.Touch(slot)
}

// Transfers are the control transfers of all keys while they were in this hub.
func (h *Hub) Transfers() (gets, sets int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	gets, sets = h.gets, h.sets
	for _, p := range h.ports {
		g, s := p.key.Transfers()
		gets, sets = gets+g-p.gets, sets+s-p.sets
	}
	return gets, sets
}

// Find lists what is plugged in, in order of ports, as usbhid.Find does.
func (h *Hub) Find() ([]usbhid.Attached, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list, _ := h.list()
	return list, nil
}

// list is Find, and what tells of the next change.
func (h *Hub) list() ([]usbhid.Attached, <-chan struct{}) {
	var list []usbhid.Attached
	for _, p := range h.ports {
		list = append(list, p.at)
	}
	slices.SortFunc(list, func(a, b usbhid.Attached) int { return usbhid.ComparePorts(a.Path, b.Path) })
	return list, h.changed
}

// Watch yields arrivals and removals as usbhid.Watch does, first those that are there. It needs no ticks: a change wakes it.
func (h *Hub) Watch(ctx context.Context, _ <-chan time.Time) iter.Seq2[usbhid.Event, error] {
	return func(yield func(usbhid.Event, error) bool) {
		known := map[string]usbhid.Attached{}
		for ctx.Err() == nil {
			h.mu.Lock()
			list, changed := h.list()
			h.mu.Unlock()
			for _, e := range changes(known, list) {
				if !yield(e, nil) {
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}
}

// changes brings known up to date: removals first.
func changes(known map[string]usbhid.Attached, list []usbhid.Attached) (events []usbhid.Event) {
	now := map[string]int{}
	for _, a := range list {
		now[a.Path] = a.Address
	}
	var gone []usbhid.Attached
	for port, a := range known {
		if now[port] != a.Address {
			gone = append(gone, a)
			delete(known, port)
		}
	}
	slices.SortFunc(gone, func(a, b usbhid.Attached) int { return usbhid.ComparePorts(a.Path, b.Path) })
	for _, a := range gone {
		events = append(events, usbhid.Event{Key: a})
	}
	for _, a := range list {
		if _, ok := known[a.Path]; !ok {
			known[a.Path] = a
			events = append(events, usbhid.Event{Arrived: true, Key: a})
		}
	}
	return events
}

// Open holds a key that Find or Watch told of. Errors: usbhid.ErrGone if it was pulled out since, usbhid.ErrBusy, vkey.ErrNoOTP.
func (h *Hub) Open(_ context.Context, at usbhid.Attached) (usbhid.Device, error) {
	h.mu.Lock()
	p := h.ports[at.Path]
	h.mu.Unlock()
	if p == nil || p.at.Address != at.Address {
		return nil, fmt.Errorf("open %s: %w", at.Path, usbhid.ErrGone)
	}
	c, err := p.key.Open()
	if err != nil {
		return nil, err
	}
	return c, nil
}
