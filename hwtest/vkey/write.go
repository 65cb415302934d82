package vkey

import (
	"bytes"
	"encoding/binary"
	"time"
)

// program is a write of slot i, which replaces everything in it, counters included; 52 zero bytes empty it (§3.1).
func (k *Key) program(i int, p *payload) bool {
	s := &k.slots[i]
	if !s.admits(p[offCurrent:offCurrent+codeLen]) || k.slot2Protected(i) {
		return false
	}
	if bytes.Equal(p[:configLen], make([]byte, configLen)) {
		*s = slot{}
		return true
	}
	c, ok := decodeConfig(p)
	if !ok || !k.profile.holds(c.kind()) {
		return false
	}
	// PROTECT_CFG2 in slot 2 stops slot 1 from having the bit (§3.2).
	if i == 0 && c.tkt&tktProtectCfg2 != 0 && k.slots[1].cfg.tkt&tktProtectCfg2 != 0 {
		return false
	}
	*s = slot{kind: c.kind(), cfg: c}
	if s.kind == HOTP && k.profile.Has(InitialFactor) {
		s.moving = c.initialFactor()
	}
	return true
}

// slot2Protected is whether i is slot 2 and slot 1 forbids writing it.
func (k *Key) slot2Protected(i int) bool { return i == 1 && k.slots[0].cfg.tkt&tktProtectCfg2 != 0 }

// update takes over access code and updatable flags; on a challenge-response slot the pacing bits mean LT64 and touch
// and stay (§3.2, §3.5). ALLOW_UPDATE or DORMANT permits it, as .NET says.
func (k *Key) update(i int, p *payload) bool {
	s := &k.slots[i]
	c, ok := decodeConfig(p)
	if !ok || !s.configured() || s.cfg.ext&(extAllowUpdate|extDormant) == 0 {
		return false
	}
	if !s.admits(p[offCurrent:offCurrent+codeLen]) || k.slot2Protected(i) {
		return false
	}
	// With CodeStays, that the key accepts the rest of such an update rather than reject it is a choice: the harder case.
	if k.profile.Quirks&CodeStays == 0 {
		s.cfg.code = c.code
	}
	s.cfg.ext = c.ext
	s.cfg.tkt = s.cfg.tkt&^tktUpdatable | c.tkt&tktUpdatable
	if !s.challenge() {
		s.cfg.cfg = s.cfg.cfg&^cfgUpdatable | c.cfg&cfgUpdatable
	}
	return true
}

// swap exchanges the slots with their counters. Each configured slot must allow updates, and the code given must open
// each protected one (§3.5, §9.3); PROTECT_CFG2 in either forbids it.
func (k *Key) swap(code []byte) bool {
	for i := range k.slots {
		s := &k.slots[i]
		if !s.admits(code) || s.configured() && s.cfg.ext&extAllowUpdate == 0 || s.cfg.tkt&tktProtectCfg2 != 0 {
			return false
		}
	}
	k.slots[0], k.slots[1] = k.slots[1], k.slots[0]
	return true
}

// NDEF records, §3.6: len ‖ type ‖ data[54].
const (
	ndefMax  = 54
	ndefURI  = 'U'
	ndefText = 'T'
)

// writeNDEF stores a record for slot i. It needs a radio and a typing slot without access code: with one it fails even
// when the right code is sent (.NET, §3.6).
func (k *Key) writeNDEF(i int, p *payload) bool {
	s := &k.slots[i]
	if !s.configured() || s.challenge() || s.protected() {
		return false
	}
	if p[0] > ndefMax || p[1] != ndefURI && p[1] != ndefText {
		return false
	}
	k.ndef[i] = append([]byte(nil), p[1:2+p[0]]...)
	k.ndefSlot = i
	return true
}

// writeScanMap takes 45 usage codes; all zero restores the default; a code that stands twice rejects it, which 51 bytes
// of 63 do, the probe of §1.7. The access code at 45..50 must open each protected slot.
func (k *Key) writeScanMap(p *payload) bool {
	for i := range k.slots {
		if !k.slots[i].admits(p[scanMapLen : scanMapLen+codeLen]) {
			return false
		}
	}
	m := [scanMapLen]byte(p[:scanMapLen])
	if m == ([scanMapLen]byte{}) {
		k.scanMap = defaultScanMap
		return true
	}
	var seen [256]bool
	for _, c := range m {
		if seen[c] {
			return false
		}
		seen[c] = true
	}
	k.scanMap = m
	return true
}

// Mode bytes of command 11, §2: the interfaces each stands for.
var modes = [7]Interface{OTP, CCID, OTP | CCID, FIDO, OTP | FIDO, FIDO | CCID, OTP | FIDO | CCID}

// touchEject is only valid with mode 1. It is also the bit of device flags (§7.2).
const touchEject = 0x80

// writeMode sets the interfaces of the next power-up and the time a challenge waits for a touch. It is refused while a
// slot has an access code (§3.6).
func (k *Key) writeMode(p *payload) bool {
	mode := p[0] &^ touchEject
	if int(mode) >= len(modes) || p[0]&touchEject != 0 && mode != 1 {
		return false
	}
	if k.slots[0].protected() || k.slots[1].protected() {
		return false
	}
	k.nextUSB = capsOf(modes[mode]) & k.usbSupported()
	k.mode = p[0]
	k.autoEject = binary.LittleEndian.Uint16(p[2:])
	k.deviceFlags = k.deviceFlags&^flagEject | p[0]&touchEject
	k.timeout = defaultTouchWait
	if p[1] != 0 {
		k.timeout = time.Duration(p[1]) * time.Second
	}
	return true
}
