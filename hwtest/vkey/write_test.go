package vkey

import (
	"bytes"
	"strings"
	"testing"
)

// step is one command and whether the key must accept it.
type step struct {
	cmd  byte
	pay  []byte
	want bool
}

// runSteps plays commands against a fresh key.
func runSteps(t *testing.T, p Profile, steps []step) *rig {
	t.Helper()
	r := newRig(t, p, Options{Serial: 7})
	for i, s := range steps {
		if got := r.accepts(s.cmd, s.pay); got != s.want {
			t.Fatalf("step %d, command %02x: accepted %v, want %v", i, s.cmd, got, s.want)
		}
	}
	return r
}

// with returns the configuration changed by f.
func (c conf) with(f func(*conf)) conf {
	f(&c)
	return c
}

// TestWriteRules has every reason for which a write is accepted or rejected.
func TestWriteRules(t *testing.T) {
	t.Parallel()
	plain := otp().bytes(t)
	locked := otp().with(func(c *conf) { c.code = codeA }).bytes(t)
	relock := otp().with(func(c *conf) { c.code, c.current = codeB, codeA }).bytes(t)
	badCRC := otp().bytes(t)
	badCRC[3]++
	longFixed := otp().bytes(t)
	longFixed[offSize] = 17
	copy(longFixed[offCRC:], appendCRC(longFixed[:offCRC])[offCRC:])
	zero := make([]byte, configLen)
	protect := otp().with(func(c *conf) { c.tkt |= tktProtectCfg2 }).bytes(t)
	fixed := conf{ext: 0x14, tkt: 0x20}.bytes(t) // no ALLOW_UPDATE
	dormant := otp().with(func(c *conf) { c.ext = extDormant }).bytes(t)
	chal := sha1Conf(hmacKey, "0000", 0x40, 0x22).bytes(t)
	withCode := func(code string) []byte { return at(offCurrent, unhex(t, code)) }
	for _, v := range []struct {
		name    string
		profile Profile
		steps   []step
	}{
		{"bad inner CRC", YubiKey543, []step{{cmdWrite1, badCRC, false}, {cmdWrite1, plain, true}}},
		{"fixed size 17", YubiKey543, []step{{cmdWrite1, longFixed, false}}},
		{"unknown commands", YubiKey543, []step{{0x02, plain, false}, {0x07, nil, false}, {0x14, nil, false}, {0x15, nil, false}, {0x32, nil, false}}},
		{"access code needed to write", YubiKey543, []step{{cmdWrite1, locked, true}, {cmdWrite1, plain, false},
			{cmdWrite1, otp().with(func(c *conf) { c.current = codeB }).bytes(t), false}, {cmdWrite1, relock, true}, {cmdWrite1, relock, false}}},
		{"free slot takes any code", YubiKey543, []step{{cmdWrite1, otp().with(func(c *conf) { c.current = codeB }).bytes(t), true}}},
		{"code kept only if resent", YubiKey543, []step{{cmdWrite1, locked, true},
			{cmdWrite1, otp().with(func(c *conf) { c.current = codeA }).bytes(t), true}, {cmdWrite1, plain, true}}},
		{"access code needed to delete", YubiKey543, []step{{cmdWrite1, plain, true}, {cmdWrite2, locked, true}, {cmdWrite2, zero, false}, {cmdWrite2, withCode(codeB), false}, {cmdWrite2, withCode(codeA), true}}},
		{"delete of the last slot", YubiKey543, []step{{cmdWrite1, plain, true}, {cmdWrite1, zero, true}, {cmdWrite1, zero, false}}},
		{"delete of an empty slot beside a full one", YubiKey543, []step{{cmdWrite1, plain, true}, {cmdWrite2, zero, true}}},
		{"protect slot 2", YubiKey543, []step{{cmdWrite2, plain, true}, {cmdWrite1, protect, true}, {cmdWrite2, plain, false}, {cmdWrite2, zero, false}, {cmdUpdate2, plain, false}, {cmdSwap, nil, false}, {cmdWrite1, plain, true}, {cmdWrite2, plain, true}}},
		{"bit in slot 2 stops the bit in slot 1", YubiKey543, []step{{cmdWrite2, protect, true}, {cmdWrite1, protect, false}, {cmdWrite1, plain, true}}},
		{"update", YubiKey543, []step{{cmdUpdate1, plain, false}, {cmdWrite1, plain, true}, {cmdUpdate1, plain, true}, {cmdUpdate1, badCRC, false}, {cmdUpdate1, zero, false}}},
		{"update not allowed", YubiKey543, []step{{cmdWrite1, fixed, true}, {cmdUpdate1, plain, false}}},
		{"update of a dormant slot", YubiKey543, []step{{cmdWrite1, dormant, true}, {cmdUpdate1, plain, true}}},
		{"access code needed to update", YubiKey543, []step{{cmdWrite1, locked, true}, {cmdUpdate1, plain, false}, {cmdUpdate1, relock, true}, {cmdUpdate1, relock, false}}},
		{"swap", YubiKey543, []step{{cmdWrite1, plain, true}, {cmdSwap, nil, true}, {cmdWrite1, fixed, true}, {cmdSwap, nil, false}}},
		{"swap with access code", YubiKey543, []step{{cmdWrite1, locked, true}, {cmdSwap, nil, false}, {cmdSwap, withCode(codeB), false}, {cmdSwap, withCode(codeA), true}}},
		{"scan map", YubiKey543, []step{{cmdWrite1, plain, true}, {cmdScanMap, bytes.Repeat([]byte{0x63}, 51), false}, {cmdScanMap, defaultScanMap[:], true}, {cmdScanMap, nil, true}}},
		{"scan map with access code", YubiKey543, []step{{cmdWrite1, locked, true}, {cmdScanMap, nil, false}, {cmdScanMap, at(scanMapLen, unhex(t, codeA)), true}}},
		{"NDEF", YubiKey543, []step{{cmdNDEF1, []byte("\x03Uabc"), false}, {cmdWrite1, plain, true}, {cmdNDEF1, []byte("\x03Uabc"), true}, {cmdNDEF1, []byte("\x03Xabc"), false}, {cmdNDEF1, []byte("\x37Uabc"), false}, {cmdWrite2, chal, true}, {cmdNDEF2, []byte("\x03Tabc"), false}}},
		{"NDEF with access code", YubiKey543, []step{{cmdWrite1, locked, true}, {cmdNDEF1, append([]byte("\x03Uabc"), at(51, unhex(t, codeA))...), false}}},
		{"NDEF without radio", YubiKey527, []step{{cmdWrite1, plain, true}, {cmdNDEF1, []byte("\x03Uabc"), false}}},
		{"mode", YubiKey543, []step{{cmdWrite1, plain, true}, {cmdMode, []byte{6}, true}, {cmdMode, []byte{7}, false}, {cmdMode, []byte{0x81}, true}, {cmdMode, []byte{0x82}, false}}},
		{"mode with access code", YubiKey543, []step{{cmdWrite1, locked, true}, {cmdMode, []byte{6}, false}}},
		{"mode on an empty key", YubiKey543, []step{{cmdMode, []byte{6}, false}}},
		{"2.4 commands", YubiKey24, []step{{cmdWrite1, plain, true}, {cmdWrite2, plain, true}, {cmdUpdate2, plain, true}, {cmdSwap, nil, true}, {cmdScanMap, nil, false}, {cmdMode, []byte{0}, false}, {cmdNDEF1, []byte("\x03Uabc"), false}, {cmdWrite2, chal, true}}},
		{"2.1 firmware", Profile{Version: Version{2, 1, 4}, PID: 0x0010}, []step{{cmdWrite1, plain, true}, {cmdUpdate1, plain, false}, {cmdSwap, nil, false}, {cmdWrite2, chal, false}}},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			runSteps(t, v.profile, v.steps)
		})
	}
}

// TestBadFrameCRC: a frame with a bad CRC is ignored, the key goes on.
func TestBadFrameCRC(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{Serial: 1})
	r.send("ff0000bc614e0080 0000010203040582 0600010203040583 060708090a0b0c84 0d0e0f0000000085 0000063420000086 005c520000000087 0001955700000089")
	if r.Slot(1).Kind != Empty || r.get()[4] != 0 {
		t.Error("frame with a bad CRC was run")
	}
	r.must(cmdWrite1, otp().bytes(t))
}

// TestUpdate looks at what an update changes and what it leaves.
func TestUpdate(t *testing.T) {
	t.Parallel()
	allFlags := conf{fixed: strings.Repeat("77", 16), uid: "777777777777", key: strings.Repeat("77", 16),
		code: codeB, current: codeA, ext: 0xa7, tkt: 0xff, cfg: 0xff}
	for _, v := range []struct {
		name          string
		profile       Profile
		before        conf
		ext, tkt, cfg byte
		code          string
	}{
		{"typing slot", YubiKey543, otp(), 0xa7, 0x3f, 0x0c, codeB},
		{"challenge keeps LT64 and touch", YubiKey543, sha1Conf(hmacKey, "0000", 0x40, 0x22), 0xa7, 0x7f, 0x22, codeB},
		{"challenge keeps them set", YubiKey543, sha1Conf(hmacKey, "0000", 0x40, 0x2e), 0xa7, 0x7f, 0x2e, codeB},
		{"4.3.5 keeps the access code", YubiKey435, otp(), 0xa7, 0x3f, 0x0c, codeA},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, v.profile, Options{})
			v.before.code = codeA
			r.must(cmdWrite1, v.before.bytes(t))
			r.must(cmdUpdate1, allFlags.bytes(t))
			s := r.Slot(1)
			if s.Ext != v.ext || s.Tkt != v.tkt || s.Cfg != v.cfg {
				t.Errorf("flags %02x/%02x/%02x, want %02x/%02x/%02x", s.Ext, s.Tkt, s.Cfg, v.ext, v.tkt, v.cfg)
			}
			if !r.HoldsAccessCode(1, [6]byte(unhex(t, v.code))) {
				t.Errorf("access code is not %s", v.code)
			}
			if !r.Holds(1, unhex(t, v.before.key+v.before.uid)) || !bytes.Equal(s.PublicID, unhex(t, v.before.fixed)) {
				t.Error("update changed the secret or the public ID")
			}
		})
	}
}

// TestProgSeq has the rules of §1.5 and §1.6.
func TestProgSeq(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{})
	seq := func(want byte, when string) {
		t.Helper()
		if got := r.get()[4]; got != want {
			t.Errorf("%s: ProgSeq %d, want %d", when, got, want)
		}
	}
	seq(0, "empty")
	r.frame(cmdWrite1, otp().bytes(t))
	seq(1, "first write")
	r.frame(cmdWrite2, otp().bytes(t))
	seq(2, "second write")
	r.PowerCycle()
	seq(1, "after power cycle")
	r.frame(cmdWrite1, make([]byte, configLen))
	seq(2, "one slot deleted")
	r.frame(cmdWrite2, make([]byte, configLen))
	seq(0, "both deleted")
	r.PowerCycle()
	seq(0, "empty after power cycle")
	for range 255 {
		r.frame(cmdWrite1, otp().bytes(t))
	}
	seq(255, "255 writes")
	r.frame(cmdWrite1, otp().bytes(t))
	seq(1, "256 writes")
}

// TestStatusBits has the low byte of the touch level, §1.5.
func TestStatusBits(t *testing.T) {
	t.Parallel()
	hmac, hmacTouch := sha1Conf(hmacKey, "0000", 0x40, 0x22), sha1Conf(hmacKey, "0000", 0x40, 0x2a)
	led := otp().with(func(c *conf) { c.ext |= extLEDInverted })
	for _, v := range []struct {
		name     string
		profile  Profile
		one, two *conf
		want     byte
	}{
		{"empty", YubiKey543, nil, nil, 0},
		{"OTP in 1", YubiKey543, new(otp()), nil, 0x05},
		{"OTP in 2", YubiKey543, nil, new(otp()), 0x0a},
		{"HMAC in 2", YubiKey543, new(otp()), &hmac, 0x07},
		{"HMAC with touch in 2", YubiKey543, nil, &hmacTouch, 0x0a},
		{"LED", YubiKey543, &led, nil, 0x15},
		{"2.4 has no touch bits", YubiKey24, &led, new(otp()), 0x13},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, v.profile, Options{})
			if v.one != nil {
				r.must(cmdWrite1, v.one.bytes(t))
			}
			if v.two != nil {
				r.must(cmdWrite2, v.two.bytes(t))
			}
			if got := r.get()[5]; got != v.want {
				t.Errorf("touch level %02x, want %02x", got, v.want)
			}
		})
	}
}

// TestSwapMovesCounters: a swap takes the whole slot along.
func TestSwapMovesCounters(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{})
	r.must(cmdWrite1, otp().bytes(t))
	r.Touch(1)
	r.Touch(1)
	r.must(cmdSwap, nil)
	if s := r.Slot(2); s.Kind != YubicoOTP || s.UseCounter != 1 || s.SessionCounter != 1 || r.Slot(1).Kind != Empty {
		t.Errorf("slot 2 after swap: %+v", s)
	}
	if r.Touch(1) || !r.Touch(2) {
		t.Error("touch after swap answers from the wrong slot")
	}
}
