package vkey

import "crypto/subtle"

// SlotState is what a slot holds, for a test to look at; its secrets are only compared, by Holds.
type SlotState struct {
	Kind Kind
	// PublicID is the fixed part in use, 0 to 16 bytes.
	PublicID []byte
	// Ext, Tkt and Cfg are the flags as stored.
	Ext, Tkt, Cfg byte
	// Protected is whether the slot has an access code.
	Protected bool
	// UseCounter and SessionCounter are those of the last ticket; UseCounter is 0 before the first.
	UseCounter     uint16
	SessionCounter byte
	// MovingFactor is that of the next HOTP.
	MovingFactor uint64
	// NDEF is type ‖ data of the slot's record, nil if there is none.
	NDEF []byte
}

// ScanMap is the scan map of the key: reference yubikey-otp.md §3.7.
func (k *Key) ScanMap() [45]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.scanMap
}

// Slot returns the state of slot 1 or 2; of another number an empty one.
func (k *Key) Slot(n int) SlotState {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.at(n)
	if s == nil {
		return SlotState{}
	}
	return SlotState{
		Kind:           s.kind,
		PublicID:       append([]byte{}, s.cfg.fixed[:s.cfg.size]...),
		Ext:            s.cfg.ext,
		Tkt:            s.cfg.tkt,
		Cfg:            s.cfg.cfg,
		Protected:      s.protected(),
		UseCounter:     s.use,
		SessionCounter: s.session,
		MovingFactor:   s.moving,
		NDEF:           append([]byte(nil), k.ndef[n-1]...),
	}
}

// Holds says whether the secret is what the slot has, by its length: 16 the AES key, 6 the PrivateID, 22 AES key ‖
// PrivateID, 20 the HOTP or HMAC key, 38 the scan codes. Any other length, and an empty slot, hold nothing.
func (k *Key) Holds(slot int, secret []byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.at(slot)
	if s == nil || !s.configured() {
		return false
	}
	var held []byte
	switch len(secret) {
	case keyLen:
		held = s.cfg.key[:]
	case uidLen:
		held = s.cfg.uid[:]
	case keyLen + uidLen:
		held = append(s.cfg.key[:len(s.cfg.key):len(s.cfg.key)], s.cfg.uid[:]...)
	case sha1KeyLen:
		held = s.cfg.secret20()
	case fixedLen + uidLen + keyLen:
		held = s.cfg.codes()
	default:
		return false
	}
	return subtle.ConstantTimeCompare(held, secret) == 1
}

// Dump returns the 52 bytes of a slot, secrets included, as they would be written to have what it holds now: updates are
// in them, and counters are not. Nil for an empty slot. For tests that compare what two programs wrote.
func (k *Key) Dump(slot int) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.at(slot)
	if s == nil || !s.configured() {
		return nil
	}
	c := &s.cfg
	b := make([]byte, 0, configLen)
	for _, part := range [][]byte{c.fixed[:], c.uid[:], c.key[:], c.code[:], {byte(c.size), c.ext, c.tkt, c.cfg, 0, 0}} {
		b = append(b, part...)
	}
	return appendCRC(b)
}

// LastFrame returns command and payload of the last frame that was run or rejected since New, by whichever interface.
func (k *Key) LastFrame() (command byte, data [64]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lastCommand, k.lastData
}

// HoldsAccessCode says whether the slot is protected by just this code; the zero code is never one.
func (k *Key) HoldsAccessCode(slot int, code [6]byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.at(slot)
	return s != nil && s.protected() && s.cfg.code == code
}

// sha1KeyLen is the length of HOTP and HMAC keys, §3.3.
const sha1KeyLen = 20

// at is slot 1 or 2, nil for another number.
func (k *Key) at(n int) *slot {
	if n < 1 || n > len(k.slots) {
		return nil
	}
	return &k.slots[n-1]
}
