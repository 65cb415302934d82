package pivapplet

import (
	"crypto"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// Slots, reference yubikey-otp.md §8; their certificates are in the objects of the same list.
const (
	slotAuthentication = 0x9a
	slotSignature      = 0x9c
	slotKeyManagement  = 0x9d
	slotCard           = 0x9e
	firstRetired       = 0x82
	lastRetired        = 0x95
	slotAttestation    = 0xf9
)

// Policies, reference yubikey-otp.md §8; 0 is the slot's own.
const (
	pinNever  = 1
	pinOnce   = 2
	pinAlways = 3

	touchNever  = 1
	touchAlways = 2
	touchCached = 3
)

// key is what a slot holds.
type key struct {
	alg        Algorithm
	private    crypto.PrivateKey
	pin, touch byte
	generated  bool // on the card
}

// has says whether the firmware has the slot: retired ones came with 4.0, the attestation key with 4.3.
func (a *Applet) has(slot byte) bool {
	switch slot {
	case slotAuthentication, slotSignature, slotKeyManagement, slotCard:
		return true
	case slotAttestation:
		return !a.profile.Version.Less(attestsFrom)
	}
	return slot >= firstRetired && slot <= lastRetired && a.since(4, 0)
}

// Tags of GENERATE and IMPORT, reference yubikey-otp.md §8.
const (
	tagControl     = 0xac
	tagAlgorithm   = 0x80
	tagPINPolicy   = 0xaa
	tagTouchPolicy = 0xab
)

// policies reads the tags AA and AB; ok is false for those that the firmware refuses. Before 4.0 they are ignored (piv-go's
// Key says so of the third generation), and a PIN is asked for once.
func (a *Applet) policies(slot byte, items []item) (pin, touch byte, ok bool) {
	pin, touch = pinOnce, touchNever
	switch slot {
	case slotSignature:
		pin = pinAlways
	case slotCard:
		pin = pinNever
	}
	if !a.since(4, 0) {
		return pin, touch, true
	}
	for _, i := range items {
		switch {
		case i.tag != tagPINPolicy && i.tag != tagTouchPolicy:
			continue
		case len(i.value) != 1 || i.value[0] > 3:
			return 0, 0, false
		case i.value[0] == 0:
		case i.tag == tagPINPolicy:
			pin = i.value[0]
		default:
			touch = i.value[0]
		}
	}
	return pin, touch, touch != touchCached || a.since(4, 3)
}

// generate is GENERATE ASYMMETRIC KEY PAIR: P2 is the slot, AC holds algorithm and policies. What was in the slot is gone; its
// certificate stays.
func (a *Applet) generate(s *session, c vkey.APDU) ([]byte, uint16) {
	if !s.admin {
		return nil, vkey.SWSecurity
	}
	if c.P1 != 0 || !a.has(c.P2) {
		return nil, swWrongP1P2
	}
	outer, ok := parse(c.Data)
	if !ok {
		return nil, vkey.SWWrongData
	}
	items, ok := parse(find(outer, tagControl))
	alg := find(items, tagAlgorithm)
	if !ok || len(alg) != 1 || !a.knows(Algorithm(alg[0])) {
		return nil, vkey.SWWrongData
	}
	k := &key{alg: Algorithm(alg[0]), generated: true}
	if k.pin, k.touch, ok = a.policies(c.P2, items); !ok {
		return nil, vkey.SWWrongData
	}
	if k.private = a.draw(k.alg); k.private == nil {
		return nil, vkey.SWWrongData
	}
	a.keys[c.P2] = k
	a.counts.Generated++
	return add(nil, tagPublicKey, k.encode()), vkey.SWSuccess
}

// importKey is Yubico's FE: P1 is the algorithm, P2 the slot.
func (a *Applet) importKey(s *session, c vkey.APDU) ([]byte, uint16) {
	if !s.admin {
		return nil, vkey.SWSecurity
	}
	k := &key{alg: Algorithm(c.P1)}
	if !a.has(c.P2) || !a.knows(k.alg) {
		return nil, swWrongP1P2
	}
	items, ok := parse(c.Data)
	if !ok {
		return nil, vkey.SWWrongData
	}
	if k.pin, k.touch, ok = a.policies(c.P2, items); !ok {
		return nil, vkey.SWWrongData
	}
	if k.private = k.alg.decode(items); k.private == nil {
		return nil, vkey.SWWrongData
	}
	a.keys[c.P2] = k
	return nil, vkey.SWSuccess
}

// move is Yubico's F6: P1 is where to, FF deletes; P2 is where from. Certificates do not move. A slot that is taken is 6985
// (the word is a choice), and the attestation key does not move, but goes (Yubico's documentation of MoveKeyCommand).
func (a *Applet) move(s *session, c vkey.APDU) ([]byte, uint16) {
	const gone = 0xff
	from := a.keys[c.P2]
	switch {
	case !s.admin:
		return nil, vkey.SWSecurity
	case !a.has(c.P2), c.P1 != gone && (!a.has(c.P1) || c.P1 == slotAttestation || c.P2 == slotAttestation):
		return nil, swWrongP1P2
	case from == nil:
		return nil, swNoReference
	case c.P1 != gone && a.keys[c.P1] != nil:
		return nil, vkey.SWConditions
	}
	if c.P1 != gone {
		a.keys[c.P1] = from
	}
	delete(a.keys, c.P2)
	return nil, vkey.SWSuccess
}
