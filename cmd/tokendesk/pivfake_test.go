package main

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"slices"
	"sync"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// fakePIV is a YubiKey's PIV application in memory, as far as the sealing key needs one. What follows keys of a real
// applet is in TestUnlockByCard, over pcscd.
type fakePIV struct {
	serial   token.Serial
	firmware ykslot.Version
	absent   bool // it is not attached

	mu       sync.Mutex
	pin      string
	left     int
	total    int
	keys     map[piv.Slot]*ecdsa.PrivateKey
	imported bool // the keys are not generated
	policy   piv.PINPolicy
	touch    piv.TouchPolicy
	verified int // how often a PIN was tried
	agreed   int // how often a key was used
	held     bool
}

func newFakePIV(serial token.Serial) *fakePIV {
	return &fakePIV{
		serial: serial, firmware: ykslot.Version{Major: 5, Minor: 4, Patch: 3}, pin: "123456", left: 3, total: 3,
		keys: map[piv.Slot]*ecdsa.PrivateKey{}, policy: piv.PINOnce,
	}
}

// pivBench is a bus with some of them, none of which has slots that type.
type pivBench struct {
	virtualBus
	keys []*fakePIV
}

var _ pivBus = pivBench{}

func (b pivBench) find() ([]usbhid.Attached, error) {
	var all []usbhid.Attached
	for _, k := range b.keys {
		m, _ := usbhid.ModelOf(0x0407)
		if !k.absent {
			all = append(all, usbhid.Attached{Path: k.serial.String(), Model: m, Product: "YubiKey", Driver: "none"})
		}
	}
	return all, nil
}

func (b pivBench) openPIV(_ context.Context, at usbhid.Attached) (piv.Card, error) {
	i := slices.IndexFunc(b.keys, func(k *fakePIV) bool { return k.serial.String() == at.Path })
	k := b.keys[i]
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held {
		return nil, fmt.Errorf("the card is held twice: %w", usbhid.ErrBusy)
	}
	k.held = true
	return &fakeCard{k: k}, nil
}

// fakeCard is one connection. What it does not have panics.
type fakeCard struct {
	piv.Card
	k        *fakePIV
	verified bool
}

func (c *fakeCard) Close() error {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	c.k.held = false
	return nil
}

func (c *fakeCard) Facts(context.Context) (piv.Facts, error) {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	c.verified = false
	answer := func(yes bool) piv.Answer {
		if yes {
			return piv.Yes
		}
		return piv.No
	}
	f := piv.Facts{Serial: c.k.serial, Version: c.k.firmware, PIN: piv.Reference{Left: c.k.left}, PUK: piv.Reference{Left: -1}}
	if f.Metadata() {
		f.PIN.Total, f.PIN.Default, f.PUK.Default = c.k.total, answer(c.k.pin == "123456"), piv.Yes
	}
	for slot, key := range c.k.keys {
		if f.Metadata() {
			f.Keys = append(f.Keys, piv.KeyFacts{Slot: slot, Key: piv.Yes, Algorithm: piv.P256, PIN: c.k.policy, Touch: c.k.touch, Generated: answer(!c.k.imported), Public: key.Public()})
		}
	}
	return f, nil
}

func (c *fakeCard) PINTries(context.Context) (int, error) { return c.k.left, nil }

func (c *fakeCard) try(pin secret.Bytes) error {
	c.k.verified++
	switch {
	case c.k.left == 0:
		return &piv.PINError{What: token.PIVPIN}
	case string(pin.Reveal()) != c.k.pin:
		c.k.left--
		return &piv.PINError{What: token.PIVPIN, Left: c.k.left}
	}
	c.k.left, c.verified = c.k.total, true
	return nil
}

func (c *fakeCard) VerifyPIN(_ context.Context, pin secret.Bytes) error {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	return c.try(pin)
}

func (c *fakeCard) ChangePIN(_ context.Context, old, fresh secret.Bytes) error {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	err := c.try(old)
	if err == nil {
		c.k.pin = string(fresh.Reveal())
	}
	return err
}

func (c *fakeCard) Authenticate(_ context.Context, key secret.Bytes) error {
	if isNew := piv.DefaultManagementKey(); !key.Equal(isNew) {
		return piv.ErrManagementKey
	}
	return nil
}

func (c *fakeCard) Attest(_ context.Context, s piv.Slot) (*x509.Certificate, error) {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	if key := c.k.keys[s]; key != nil && !c.k.imported {
		return &x509.Certificate{PublicKey: key.Public()}, nil
	}
	return nil, piv.ErrNoKey
}

func (c *fakeCard) Generate(_ context.Context, _ secret.Bytes, s piv.Slot, k piv.KeySpec) (crypto.PublicKey, error) {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c.k.keys[s], c.k.policy = key, k.PIN
	return key.Public(), nil
}

func (c *fakeCard) Exchanger(_ context.Context, s piv.Slot, public crypto.PublicKey) (ecdh.KeyExchanger, error) {
	point, err := public.(*ecdsa.PublicKey).ECDH()
	return fakeExchanger{c, s, point}, err
}

// fakeExchanger says that it has the public key that the caller named, as hardware does.
type fakeExchanger struct {
	c      *fakeCard
	s      piv.Slot
	public *ecdh.PublicKey
}

func (x fakeExchanger) PublicKey() *ecdh.PublicKey { return x.public }
func (x fakeExchanger) Curve() ecdh.Curve          { return ecdh.P256() }

func (x fakeExchanger) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	k := x.c.k
	k.mu.Lock()
	defer k.mu.Unlock()
	if !x.c.verified {
		return nil, piv.ErrNotVerified
	}
	k.agreed++
	if k.keys[x.s] == nil {
		return nil, piv.ErrNoKey
	}
	key, err := k.keys[x.s].ECDH()
	if err != nil {
		return nil, err
	}
	return key.ECDH(peer)
}
