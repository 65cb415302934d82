package vkey

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/usbhid"
)

// ErrNoCard: the key has no card interface under its PID, or no radio.
var ErrNoCard = errors.New("no card interface")

// Transport is how a host reaches the card.
type Transport int

// The transports.
const (
	OverUSB Transport = iota
	OverNFC
)

// Applet is an application of the card. Its methods are called with the key locked: they must not call the key, but for
// what cardwait.go has for them.
type Applet interface {
	// AID is what a SELECT must begin with to mean this applet.
	AID() []byte
	// Select is called for each SELECT; a status word other than 9000 leaves what was selected before.
	Select(Transport) (data []byte, sw uint16)
	// Run executes any other command. Chained commands arrive as one; data longer than Le is handed out in parts.
	Run(Transport, APDU) (data []byte, sw uint16)
}

// More is an Applet whose rest of a long answer is asked for by another instruction than GET RESPONSE (C0).
type More interface{ MoreINS() byte }

// Enabled is an Applet that the key may not have, or that may be switched off: not found then.
type Enabled interface{ Enabled(Transport) bool }

// Card is the smart card of a Key, as one transport shows it. All methods are safe for concurrent use, and several Cards of
// one transport share what is selected, but for Beside.
type Card struct {
	k     *Key
	by    Transport
	state int // of Key.cards
}

// cardState is what a card forgets when it is reset.
type cardState struct {
	selected Applet
	rest     []byte // of an answer longer than Le
	chain    []byte // data of chained commands
	stuck    bool   // StuckManagement
}

// Card returns the card behind the key's CCID interface.
func (k *Key) Card() *Card { return &Card{k, OverUSB, 0} }

// NFC returns the card behind the key's radio. It answers as long as the key is plugged in: no field of its own is modelled.
func (k *Key) NFC() *Card { return &Card{k, OverNFC, 1} }

// Beside returns the card for a second way to it beside Card, which real keys do not have: what the one resets or selects, the other keeps.
// The applets are the same.
func (k *Key) Beside() *Card { return &Card{k, OverUSB, 2} }

// Install adds an applet, as if it had been there from the start.
func (k *Key) Install(a Applet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.applets = append(k.applets, a)
}

// atrs by generation, §1.2.
const (
	atrUSB3 = "\x3b\xfc\x13\x00\x00\x81\x31\xfe\x15\x59\x75\x62\x69\x6b\x65\x79\x4e\x45\x4f\x72\x33\xe1"
	atrNFC3 = "\x3b\x8c\x80\x01\x59\x75\x62\x69\x6b\x65\x79\x4e\x45\x4f\x72\x33\x58"
	atrUSB4 = "\x3b\xf8\x13\x00\x00\x81\x31\xfe\x15\x59\x75\x62\x69\x6b\x65\x79\x34\xd4"
	atrUSB5 = "\x3b\xfd\x13\x00\x00\x81\x31\xfe\x15\x80\x73\xc0\x21\xc0\x57\x59\x75\x62\x69\x4b\x65\x79\x40"
	atrNFC5 = "\x3b\x8d\x80\x01\x80\x73\xc0\x21\xc0\x57\x59\x75\x62\x69\x4b\x65\x79\xf9"
)

// ATR is the answer to reset.
func (c *Card) ATR() []byte {
	switch major := c.k.Profile().Version.Major; {
	case c.by == OverNFC && major == 3:
		return []byte(atrNFC3)
	case c.by == OverNFC:
		return []byte(atrNFC5)
	case major == 3:
		return []byte(atrUSB3)
	case major == 4:
		return []byte(atrUSB4)
	}
	return []byte(atrUSB5)
}

// Present says whether the card can be reached now.
func (c *Card) Present() bool {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	return c.reachable() == nil
}

// Reset is a power cycle or a warm reset of the card alone: nothing is selected then.
func (c *Card) Reset() {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	c.k.cards[c.state] = cardState{}
}

// Transmit runs one command and returns data ‖ status word. Errors: usbhid.ErrGone, ErrNoCard. What the card refuses is a
// status word.
func (c *Card) Transmit(apdu []byte) ([]byte, error) {
	k := c.k
	k.cardMu.Lock()
	defer k.cardMu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.settle() {
		return nil, fmt.Errorf("transmit: %w", usbhid.ErrGone)
	}
	if err := c.reachable(); err != nil {
		return nil, fmt.Errorf("transmit: %w", err)
	}
	if c.by == OverUSB {
		k.cardUsed = k.opts.Now()
	}
	gone := k.gone
	data, sw := c.transmit(apdu)
	if !k.plugged || k.gone != gone {
		k.cards = [3]cardState{}
		return nil, fmt.Errorf("transmit: %w", usbhid.ErrGone)
	}
	// What the card says last before a reboot reaches the host.
	k.settle()
	return answer(data, sw), nil
}

func (c *Card) reachable() error {
	switch {
	case !c.k.plugged:
		return usbhid.ErrGone
	case c.by == OverUSB && Interfaces(c.k.profile.PID)&CCID == 0, c.by == OverNFC && !c.k.profile.NFC:
		return ErrNoCard
	}
	return nil
}

// unstick is what a NEO needs after its Management was selected, §7.1.
const unstick = "\xa4\x04\x00\x08"

func (c *Card) transmit(apdu []byte) ([]byte, uint16) {
	s := &c.k.cards[c.state]
	if string(apdu) == unstick && s.stuck {
		*s = cardState{}
		return nil, SWNoClass
	}
	a, ok := ParseAPDU(apdu)
	if !ok {
		return nil, SWWrongLength
	}
	if a.CLA&^claChain != 0 && a.CLA&0x80 == 0 { // secure messaging and logical channels
		return nil, SWNoClass
	}
	if s.chain != nil || a.CLA&claChain != 0 {
		if len(s.chain)+len(a.Data) > maxChain {
			s.chain = nil
			return nil, SWWrongLength
		}
		s.chain = append(append(make([]byte, 0, len(s.chain)+len(a.Data)), s.chain...), a.Data...)
		if a.CLA&claChain != 0 {
			return nil, SWSuccess
		}
		a.Data, s.chain = s.chain, nil
	}
	return c.run(s, a)
}

// run executes a whole command and hands out the first part of its answer.
func (c *Card) run(s *cardState, a APDU) ([]byte, uint16) {
	more := byte(insMore)
	if m, ok := s.selected.(More); ok {
		more = m.MoreINS()
	}
	if a.INS == more && len(s.rest) > 0 {
		return s.part(a.Le, SWSuccess)
	}
	s.rest = nil
	var sw uint16
	switch {
	case a.INS == insSelect && a.P1 == selectByAID:
		s.rest, sw = c.choose(s, a)
	case s.selected == nil:
		return nil, SWNoInstruction
	default:
		s.rest, sw = s.selected.Run(c.by, a)
	}
	return s.part(a.Le, sw)
}

// part is the next bytes of an answer, as many as the host takes.
func (s *cardState) part(le int, sw uint16) ([]byte, uint16) {
	data := s.rest[:min(le, len(s.rest))]
	s.rest = s.rest[len(data):]
	if left := len(s.rest); left > 0 {
		if left >= shortLe {
			left = 0
		}
		return data, SWMoreData | uint16(left)
	}
	return data, sw
}

// choose is SELECT by AID.
func (c *Card) choose(s *cardState, a APDU) ([]byte, uint16) {
	for _, app := range c.k.applets {
		if !bytes.HasPrefix(a.Data, app.AID()) {
			continue
		}
		_, manages := app.(*management)
		if e, ok := app.(Enabled); ok && !e.Enabled(c.by) || s.stuck && !manages {
			return nil, SWNotFound
		}
		if e, ok := app.(Capable); ok && c.k.enabled(c.by)&e.Capability() == 0 {
			return nil, SWNotFound
		}
		data, sw := app.Select(c.by)
		if sw == SWSuccess {
			s.selected = app
			s.stuck = manages && c.k.profile.Quirks&StuckManagement != 0
		}
		return data, sw
	}
	return nil, SWNotFound
}

// reclaiming says whether the OTP interface still ignores frames because the card was used.
func (k *Key) reclaiming() bool {
	return k.profile.Quirks&Reclaim != 0 && !k.cardUsed.IsZero() && k.opts.Now().Sub(k.cardUsed) < k.opts.Reclaim
}
