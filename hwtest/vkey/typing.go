package vkey

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"time"

	"github.com/tokendesk/tokendesk/usbhid"
)

// The scan map, reference yubikey-otp.md §3.7: usage codes, bit 80 with Shift, for the 16 modhex letters, the same in
// upper case, 10 digits, '!', TAB and CR.
const (
	scanMapLen = 45
	mapUpper   = 16
	mapDigits  = 32
	mapBang    = 42
	mapTab     = 43
	mapCR      = 44

	shifted   = 0x80
	leftShift = 0x02 // modifier byte of a boot keyboard report
	keypad0   = 0x62 // usages of the numeric keypad: 0, and 1 to 9 from keypad1
	keypad1   = 0x59
)

var defaultScanMap = [scanMapLen]byte{
	0x06, 0x05, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x11, 0x15, 0x17, 0x18, 0x19,
	0x86, 0x85, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x91, 0x95, 0x97, 0x98, 0x99,
	0x27, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26,
	0x9e, 0x2b, 0x28,
}

// key is one key to press: its usage code with bit 80 for Shift, and how long the slot's flags have it wait before, beside
// the pace of the interrupt endpoint.
type key struct {
	code  byte
	pause time.Duration
}

// output is what the slot types now; empty when its counters are used up.
func (k *Key) output(s *slot) []key {
	fixed, body := k.parts(s)
	if body == nil {
		return nil
	}
	return k.frame(s, fixed, body)
}

// plain is what the slot types, without the keys that its flags put around it, as a host shows it whose layout the scan map
// was made for.
func (k *Key) plain(s *slot) string {
	fixed, body := k.parts(s)
	return k.text(append(fixed, body...))
}

// parts is fixed part and body of what the slot types now; the body is nil when the counters are used up.
func (k *Key) parts(s *slot) (fixed, body []byte) {
	if s.kind == StaticCodes {
		return nil, s.codesTyped()
	}
	fixed = k.modhex(s.cfg.fixed[:s.cfg.size])
	switch s.kind {
	case HOTP:
		return k.tokenID(s), k.hotp(s)
	case StaticTicket:
		block := s.cfg.staticTicket()
		body := k.modhex(block[:])
		if s.cfg.cfg&cfgShort != 0 {
			body = body[:ticketLen]
		}
		text := append(fixed, body...)
		k.strengthen(s, text)
		return text[:len(fixed)], text[len(fixed):]
	}
	block, ok := k.ticket(s, s.cfg.uid)
	if !ok {
		return nil, nil
	}
	return fixed, k.modhex(block[:])
}

// Pauses, §3.2: what users call 20, 40 and 60 ms of pacing, and the delays of firmware before 3.
const (
	pacing1 = 20 * time.Millisecond
	pacing2 = 40 * time.Millisecond
	delay   = 500 * time.Millisecond
)

// frame puts the ticket flags' keys around the fixed part and the body: TAB, reference, fixed, TAB, body, TAB, CR.
func (k *Key) frame(s *slot, fixed, body []byte) []key {
	var out []key
	var wait time.Duration
	add := func(codes ...byte) {
		for _, c := range codes {
			out = append(out, key{c, wait + s.pacing()})
			wait = 0
		}
	}
	flagged := func(flag byte, index int) {
		if s.cfg.tkt&flag != 0 {
			add(k.scanMap[index])
		}
	}
	delayed := func(flag byte) {
		if s.cfg.tkt&flag != 0 && k.profile.Has(TypingDelays) {
			wait += delay
		}
	}
	flagged(tktTabFirst, mapTab)
	if s.cfg.cfg&cfgSendRef != 0 && s.kind != StaticCodes && s.kind != HOTP {
		if s.cfg.cfg&cfgStrong2 != 0 {
			add(k.scanMap[mapBang])
		} else {
			add(k.scanMap[:mapUpper]...)
		}
	}
	add(fixed...)
	flagged(tktTab1, mapTab)
	delayed(tktDelay1)
	add(body...)
	delayed(tktDelay2)
	flagged(tktTab2, mapTab)
	flagged(tktCR, mapCR)
	return out
}

// pacing is the pause before each key.
func (s *slot) pacing() (d time.Duration) {
	if s.cfg.cfg&cfgPacing1 != 0 {
		d += pacing1
	}
	if s.cfg.cfg&cfgPacing2 != 0 {
		d += pacing2
	}
	return d
}

// modhex types each byte as two letters of the scan map, high nibble first.
func (k *Key) modhex(b []byte) []byte {
	out := make([]byte, 0, 2*len(b))
	for _, x := range b {
		out = append(out, k.scanMap[x>>4], k.scanMap[x&0x0f])
	}
	return out
}

// codesTyped is a static password's codes; 0 stands for no key (§3.3).
func (s *slot) codesTyped() []byte {
	out := []byte{}
	for _, c := range s.cfg.codes() {
		if c != 0 {
			out = append(out, c)
		}
	}
	return out
}

// strengthen applies STRONG_PW2 (the letters cbdefghi as 0 to 7), then STRONG_PW1 (the first two letters in upper case)
// to a static ticket with its fixed part (§3.3). That the digits come first is a choice: the reference does not say.
func (k *Key) strengthen(s *slot, text []byte) {
	letter := func(c byte) int {
		for i, m := range k.scanMap[:mapUpper] {
			if m == c {
				return i
			}
		}
		return -1
	}
	upper := 0
	for i, c := range text {
		n := letter(c)
		switch {
		case n < 0:
		case n < 8 && s.cfg.cfg&cfgStrong2 != 0:
			text[i] = k.scanMap[mapDigits+n]
		case upper < 2 && s.cfg.cfg&cfgStrong1 != 0:
			text[i] = k.scanMap[mapUpper+n]
			upper++
		}
	}
}

// tokenID types the fixed part of an HOTP slot: MODHEX1 the first byte, MODHEX2 the first two, both all of it as modhex,
// the rest as two decimal digits a byte (§3.8). A nibble above 9 has no digit and is typed as its remainder of 10.
func (k *Key) tokenID(s *slot) []byte {
	letters := map[byte]int{0: 0, cfgModhex1: 1, cfgModhex2: 2, cfgModhex1 | cfgModhex2: fixedLen}
	n := min(letters[s.cfg.cfg&(cfgModhex1|cfgModhex2)], s.cfg.size)
	out := k.modhex(s.cfg.fixed[:n])
	for _, x := range s.cfg.fixed[n:s.cfg.size] {
		out = append(out, k.digit(s, x>>4%10), k.digit(s, x&0x0f%10))
	}
	return out
}

// hotp is RFC 4226 with HMAC-SHA1; the moving factor advances with each press.
func (k *Key) hotp(s *slot) []byte {
	m := hmac.New(sha1.New, s.cfg.secret20())
	m.Write(binary.BigEndian.AppendUint64(nil, s.moving))
	s.moving++
	sum := m.Sum(nil)
	value := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&0x0f:]) & 0x7fffffff
	out := make([]byte, 6)
	if s.cfg.cfg&cfgHOTP8 != 0 {
		out = make([]byte, 8)
	}
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = k.digit(s, byte(value%10))
		value /= 10
	}
	return out
}

// digit is a digit key, on the numeric keypad if 2.x is told so (§3.2).
func (k *Key) digit(s *slot, d byte) byte {
	if s.cfg.ext&k.profile.extKnown()&extNumKeypad == 0 {
		return k.scanMap[mapDigits+int(d)]
	}
	if d == 0 {
		return keypad0
	}
	return keypad1 + d - 1
}

// press types one key: a press report and a release report.
func (k *Key) press(code byte) {
	for _, r := range [2]usbhid.Report{stroke(code), {}} {
		switch {
		case k.conn != nil:
			k.conn.push(r)
		case k.subscriber != nil:
			k.subscriber(r)
		default:
			k.typed = append(k.typed, r)
		}
	}
}

// stroke is the press report of a usage code with bit 80 for Shift.
func stroke(code byte) usbhid.Report {
	r := usbhid.Report{2: code &^ shifted}
	if code&shifted != 0 {
		r[0] = leftShift
	}
	return r
}

// Subscribe sends keyboard reports to fn as long as no Conn is open, instead of collecting them for Typed. fn is called
// with the key locked: it must not block and not call the key. The returned function ends it; a later Subscribe
// replaces an earlier one.
func (k *Key) Subscribe(fn func(usbhid.Report)) (cancel func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.subscriber = fn
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.subscriber = nil
	}
}

// Typed returns what was typed while no Conn was open and nobody subscribed, as a US keyboard shows it, and forgets it.
func (k *Key) Typed() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := Text(k.typed)
	k.typed = nil
	return t
}
