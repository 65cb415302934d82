// Package oathapplet is the OATH application of a virtual YubiKey, as far as a host can see it. It is made from reference
// yubikey-otp.md §6 and its captures of a 5.4.3 alone and shares no code with a client: a mistake there cannot hide here.
//
//	k := vkey.New(vkey.YubiKey543, vkey.Options{Serial: 7654321})
//	oath := oathapplet.Install(k, oathapplet.Options{})
//	k.Card().Transmit(…)                             // SELECT A0000005272101, PUT, CALCULATE …
//	k.OnTouchWait(func() bool { return true })       // somebody stands by; without it k.Touch(1) within TouchWait
//	oath.Accounts()                                  // what a test may look at
//	oath.SetFaults(oathapplet.Faults{FailAfter: 1})  // what can go wrong on demand
//
// Reading order: oathapplet.go (an applet and its commands), profile.go (what firmware differs in), tlv.go (bytes), put.go
// (accounts come, are named anew and go), calculate.go (codes), code.go (the access code), faults.go, look.go.
//
// Where the reference leaves open what a key does, the harsher was chosen, and says so at its place. Not done: secure
// channels (from 5.6.3).
package oathapplet

import (
	"crypto/rand"
	"io"
	"sync"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// Options are what differs between two applets of one firmware.
type Options struct {
	// Rand gives 8 bytes for the salt, at Install and at each RESET, and 8 for the challenge of each SELECT while an access
	// code is set; nil is crypto/rand. Once it fails, it counts as zeros.
	Rand io.Reader
	// TouchWait is how long an account with that property waits for a touch; zero is 15 s (a choice: the reference names
	// no time).
	TouchWait time.Duration
}

const defaultTouchWait = 15 * time.Second

// Applet is the OATH application of one key. All methods are safe for concurrent use.
type Applet struct {
	k    *vkey.Key
	opts Options
	can  firmware

	mu       sync.Mutex
	salt     [saltLen]byte
	code     *accessCode
	accounts []account
	sessions [2]session // by vkey.Transport
	ran      map[byte]int
	faults   Faults
	seen     int
}

// session is what a SELECT begins and the next one ends.
type session struct {
	challenge [saltLen]byte // of the card, for VALIDATE
	unlocked  bool
}

var (
	_ vkey.Applet  = (*Applet)(nil)
	_ vkey.More    = (*Applet)(nil)
	_ vkey.Capable = (*Applet)(nil)
)

// Install gives the key an OATH application without accounts and without an access code.
func Install(k *vkey.Key, o Options) *Applet {
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.TouchWait == 0 {
		o.TouchWait = defaultTouchWait
	}
	a := &Applet{k: k, opts: o, can: firmwareOf(k.Profile()), ran: map[byte]int{}}
	a.salt = a.random()
	k.Install(a)
	return a
}

// Of is the key's OATH application, nil if none was installed.
func Of(k *vkey.Key) *Applet { return vkey.Installed[*Applet](k) }

// The application, §5 and §7.2.
const (
	aid        = "\xa0\x00\x00\x05\x27\x21\x01"
	capability = 0x20
)

// Instructions, §6.1. SELECT has the number of CALCULATE ALL and never comes here.
const (
	insPut           = 0x01
	insDelete        = 0x02
	insSetCode       = 0x03
	insReset         = 0x04
	insRename        = 0x05
	insList          = 0xa1
	insCalculate     = 0xa2
	insValidate      = 0xa3
	insCalculateAll  = 0xa4
	insSendRemaining = 0xa5

	resetP1, resetP2 = 0xde, 0xad
	truncated        = 0x01 // P2 of CALCULATE and CALCULATE ALL
)

// Status words, §6.4, beside those of vkey.
const (
	swMemory   = 0x6581
	swNoObject = 0x6984 // no such account, no access code, or one that was not proven
	swFull     = 0x6a84
	swCrash    = 0x6f00
)

// AID is the application's name.
func (*Applet) AID() []byte { return []byte(aid) }

// Capability is the bit of device info.
func (*Applet) Capability() uint16 { return capability }

// MoreINS is SEND REMAINING.
func (*Applet) MoreINS() byte { return insSendRemaining }

// Select answers version and salt, and with an access code a fresh challenge, which ends what was validated before.
func (a *Applet) Select(by vkey.Transport) ([]byte, uint16) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions[by] = session{}
	v := a.can.version
	out := tlv(nil, tagVersion, v.Major, v.Minor, v.Build)
	out = tlv(out, tagName, a.salt[:]...)
	if a.code != nil {
		challenge := a.random()
		a.sessions[by].challenge = challenge
		out = tlv(out, tagChallenge, challenge[:]...)
		out = tlv(out, tagAlgorithm, a.code.algorithm)
	}
	return out, vkey.SWSuccess
}

// Run executes a command between the faults that are armed for it.
func (a *Applet) Run(by vkey.Transport, c vkey.APDU) ([]byte, uint16) {
	a.mu.Lock()
	a.ran[c.INS]++
	f := a.nextFault(c.INS)
	a.mu.Unlock()
	if sw := f.before(a.k); sw != 0 {
		return nil, sw
	}
	data, sw := a.run(by, c)
	if refused := f.after(a.k); refused != 0 {
		return nil, refused
	}
	if a.can.buffer > 0 && len(data) > a.can.buffer {
		return nil, swCrash
	}
	return data, sw
}

func (a *Applet) run(by vkey.Transport, c vkey.APDU) ([]byte, uint16) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := uint16(c.P1)<<8 | uint16(c.P2)
	switch {
	case c.INS == insReset:
		if p != resetP1<<8|resetP2 {
			return nil, vkey.SWWrongP1P2
		}
		return nil, a.reset()
	case c.INS == insValidate:
		return a.validate(&a.sessions[by], c.Data)
	case a.code != nil && !a.sessions[by].unlocked && a.can.knows(c.INS):
		return nil, vkey.SWSecurity
	}
	if p&^truncated != 0 || p != 0 && c.INS != insCalculate && c.INS != insCalculateAll {
		return nil, vkey.SWWrongP1P2
	}
	switch {
	case !a.can.knows(c.INS):
		return nil, vkey.SWNoInstruction
	case c.INS == insPut:
		return nil, a.put(c.Data)
	case c.INS == insDelete:
		return nil, a.delete(c.Data)
	case c.INS == insRename:
		return nil, a.rename(c.Data)
	case c.INS == insSetCode:
		return nil, a.setCode(&a.sessions[by], c.Data)
	case c.INS == insList:
		return a.list(), vkey.SWSuccess
	case c.INS == insCalculate:
		return a.calculate(by, c.Data, c.P2 == truncated)
	}
	return a.calculateAll(c.Data, c.P2 == truncated)
}

// reset takes everything and draws a new salt. It needs no access code.
func (a *Applet) reset() uint16 {
	a.accounts, a.code, a.sessions = nil, nil, [2]session{}
	a.salt = a.random()
	return vkey.SWSuccess
}

// random draws a salt or a challenge; a reader that fails counts as zeros, so that a test's short script is enough.
func (a *Applet) random() (b [saltLen]byte) {
	if _, err := io.ReadFull(a.opts.Rand, b[:]); err != nil {
		clear(b[:])
	}
	return b
}
