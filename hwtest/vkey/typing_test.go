package vkey

import (
	"crypto/aes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/usbhid"
)

// TestTyping has what each kind types, on a US keyboard.
func TestTyping(t *testing.T) {
	t.Parallel()
	const zeroTicket = "dvgtiblfkbgturecfllberrvkinnctnn" // vector 1 of §4.4
	static := conf{key: testKey, tkt: tktCR, cfg: cfgStatic, fixed: "ab"}
	// What AES(000102…0f, 00×6 ‖ FF×8 ‖ 0f2e) gives, §4.3.
	block, err := aes.NewCipher(unhex(t, testKey))
	if err != nil {
		t.Fatal(err)
	}
	ct := unhex(t, "000000000000ffffffffffffffff0f2e")
	block.Encrypt(ct, ct)
	var ticket string
	for _, x := range ct {
		ticket += string("cbdefghijklnrtuv"[x>>4]) + string("cbdefghijklnrtuv"[x&15])
	}
	strong := strings.NewReplacer("c", "0", "b", "1", "d", "2", "e", "3", "f", "4", "g", "5", "h", "6", "i", "7").Replace("ln" + ticket)
	hotp := func(fixed string, cfg byte) conf {
		c := sha1Conf(rfc4226, "0000", tktOATH, cfg)
		c.fixed = fixed
		return c
	}
	for _, v := range []struct {
		name    string
		profile Profile
		conf    conf
		want    []string // of successive touches
	}{
		{"static ticket", YubiKey543, static, []string{"ln" + ticket + "\n", "ln" + ticket + "\n"}},
		{"static short", YubiKey543, static.with(func(c *conf) { c.cfg |= cfgShort }), []string{"ln" + ticket[:16] + "\n"}},
		{"static strong 1", YubiKey543, static.with(func(c *conf) { c.cfg |= cfgStrong1 }), []string{"LN" + ticket + "\n"}},
		{"static strong 2", YubiKey543, static.with(func(c *conf) { c.cfg |= cfgStrong2 }), []string{strong + "\n"}},
		{"static reference", YubiKey543, static.with(func(c *conf) { c.cfg |= cfgSendRef }), []string{"cbdefghijklnrtuvln" + ticket + "\n"}},
		{"static reference strong 2", YubiKey543, static.with(func(c *conf) { c.cfg |= cfgSendRef | cfgStrong2 }), []string{"!" + strong + "\n"}},
		{"scan codes", YubiKey543, conf{fixed: "8b080f0f122c9a12150f079e00000000", tkt: tktCR, cfg: cfgShort}, []string{"Hello World!\n"}},
		{"scan codes in uid and key", YubiKey543, conf{fixed: strings.Repeat("04", 16), uid: strings.Repeat("05", 6), key: strings.Repeat("86", 16), cfg: cfgShort},
			[]string{strings.Repeat("a", 16) + "bbbbbb" + strings.Repeat("C", 16)}},
		{"HOTP, RFC 4226", YubiKey543, hotp("", 0), []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"}},
		{"HOTP 8 digits", YubiKey543, hotp("", cfgHOTP8), []string{"84755224", "94287082"}},
		{"HOTP numeric token ID", YubiKey543, hotp("010203040506", 0), []string{"010203040506755224"}},
		{"HOTP modhex 1", YubiKey543, hotp("e16312345678", cfgModhex1), []string{"ub6312345678755224"}},
		{"HOTP modhex 2", YubiKey543, hotp("e16312345678", cfgModhex2), []string{"ubhe12345678755224"}},
		{"HOTP modhex all", YubiKey543, hotp("e16312345678", cfgModhex1|cfgModhex2), []string{"ubhebdefghij755224"}},
		{"HOTP from factor 16", YubiKey543, sha1Conf(rfc4226, "0001", tktOATH, 0), []string{hotpAt(t, 16), hotpAt(t, 17)}},
		{"HOTP on the keypad of 2.4", YubiKey24, hotp("", 0).with(func(c *conf) { c.ext |= extNumKeypad }), []string{"755224"}},
		{"dormant", YubiKey543, otp().with(func(c *conf) { c.ext |= extDormant }), []string{""}},
		{"HMAC", YubiKey543, sha1Conf(hmacKey, "0000", tktOATH, 0x22), []string{""}},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, v.profile, Options{})
			r.must(cmdWrite1, v.conf.bytes(t))
			for i, want := range v.want {
				if got := r.Touch(1); got != (want != "") {
					t.Errorf("touch %d: reacted %v", i, got)
				}
				if got := r.Typed(); got != want {
					t.Errorf("touch %d typed %q, want %q", i, got, want)
				}
			}
			if r.Touch(2) || r.Touch(0) || r.Touch(3) || r.Typed() != "" {
				t.Error("an empty slot types")
			}
		})
	}
	t.Run("flags around", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, YubiKey543, Options{Rand: &byLength{stamp: unhex(t, "010001"), rnd: []byte{0, 0}}})
		r.must(cmdWrite1, otp().with(func(c *conf) { c.fixed, c.tkt = "00", tktTabFirst|tktTab1|tktTab2|tktCR }).bytes(t))
		r.Touch(1)
		r.Typed()
		r.Touch(1)
		if got, want := r.Typed(), "\tcc\t"+zeroTicket+"\t\n"; got != want {
			t.Errorf("typed %q, want %q", got, want)
		}
	})
}

// hotpAt is the code at a moving factor, by a key that is pressed that often from 0.
func hotpAt(t *testing.T, factor int) string {
	t.Helper()
	r := newRig(t, YubiKey543, Options{})
	r.must(cmdWrite1, sha1Conf(rfc4226, "0000", tktOATH, 0).bytes(t))
	for range factor {
		r.Touch(1)
	}
	r.Typed()
	r.Touch(1)
	return r.Typed()
}

// TestScanMap: the map changes letters, digits, TAB and CR, not scan-code passwords; zeros restore it.
func TestScanMap(t *testing.T) {
	t.Parallel()
	dvorak := unhex(t, "0c110b071c180d0a0619130f120e09378c918b879c988d8a8699938f928e89b7271e1f202122232425269e2b28")
	r := newRig(t, YubiKey543, Options{})
	r.must(cmdWrite1, conf{fixed: "0123456789abcdef", key: testKey, cfg: cfgStatic}.bytes(t))
	r.must(cmdWrite2, conf{fixed: "0607080000000000" + strings.Repeat("00", 8), cfg: cfgShort}.bytes(t))
	r.must(cmdScanMap, dvorak)
	r.Touch(1)
	if got := r.Typed()[:16]; got != "inhdyujgcvplokf." {
		t.Errorf("typed %q through the Dvorak map", got)
	}
	r.Touch(2)
	if got := r.Typed(); got != "cde" {
		t.Errorf("scan codes typed %q through the Dvorak map", got)
	}
	r.must(cmdScanMap, nil)
	r.Touch(1)
	if got := r.Typed()[:16]; got != "cbdefghijklnrtuv" {
		t.Errorf("typed %q after restoring the map", got)
	}
}

// open decrypts a typed OTP of slot 1 into its 16 bytes.
func (r *rig) open(typed string) []byte {
	r.t.Helper()
	typed = strings.TrimSuffix(typed, "\n")
	if len(typed) < 32 {
		r.t.Fatalf("typed %q", typed)
	}
	var b [16]byte
	for i, c := range typed[len(typed)-32:] {
		b[i/2] = b[i/2]<<4 | byte(strings.IndexRune("cbdefghijklnrtuv", c))
	}
	block, err := aes.NewCipher(unhex(r.t, testKey))
	if err != nil {
		r.t.Fatal(err)
	}
	block.Decrypt(b[:], b[:])
	if crc16(b[:]) != crcResidual {
		r.t.Fatalf("ticket %x has a bad CRC", b)
	}
	return b[:]
}

// TestCounters has use counter, session counter and timestamp over presses, power cycles and a reprogramming.
func TestCounters(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{Rand: &byLength{stamp: []byte{0xff, 0xff, 0xff}, rnd: []byte{1, 2}}})
	r.must(cmdWrite1, otp().bytes(t))
	press := func(use uint16, session byte, stamp uint32) {
		t.Helper()
		r.Touch(1)
		b := r.open(r.Typed())
		got := uint32(b[8]) | uint32(b[9])<<8 | uint32(b[10])<<16
		if u := binary.LittleEndian.Uint16(b[6:]); u != use || b[11] != session || got != stamp {
			t.Errorf("use %d session %d stamp %06x, want %d %d %06x", u, b[11], got, use, session, stamp)
		}
	}
	press(1, 0, 0xffffff)
	r.now = r.now.Add(125 * time.Millisecond)
	press(1, 1, 0)
	r.now = r.now.Add(10 * time.Second)
	press(1, 2, 80)
	r.PowerCycle()
	if s := r.Slot(1); s.UseCounter != 1 {
		t.Errorf("use counter %d after power-up before the first press", s.UseCounter)
	}
	press(2, 0, 0xffffff)
	r.PowerCycle()
	r.PowerCycle()
	press(3, 0, 0xffffff)
	r.must(cmdWrite1, otp().bytes(t))
	press(1, 0, 0xffffff)
	for range 0xff {
		r.Touch(1)
	}
	r.Typed()
	press(2, 1, 0xffffff) // wraps
}

// TestUseCounterEnds: at 7FFF the slot is dead until it is programmed again.
func TestUseCounterEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{})
	r.must(cmdWrite1, otp().bytes(t))
	r.slots[0].use = maxUseCounter - 1
	if !r.Touch(1) || r.Slot(1).UseCounter != maxUseCounter {
		t.Fatal("the last use counter is not reached")
	}
	r.PowerCycle()
	r.Typed()
	if r.Touch(1) || r.Typed() != "" {
		t.Error("types after its counter ended")
	}
	r.must(cmdWrite1, otp().bytes(t))
	if !r.Touch(1) {
		t.Error("still dead after reprogramming")
	}
}

// TestReports: each key is a press and a release report.
func TestReports(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{})
	r.must(cmdWrite1, conf{fixed: "8b080000000000000000000000000000", cfg: cfgShort}.bytes(t))
	var got []usbhid.Report
	cancel := r.Subscribe(func(rep usbhid.Report) { got = append(got, rep) })
	r.Touch(1)
	cancel()
	r.Touch(1)
	want := []usbhid.Report{{2, 0, 0x0b}, {}, {0, 0, 0x08}, {}}
	if len(got) != len(want) {
		t.Fatalf("%d reports", len(got))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("report %d: %x, want %x", i, got[i], want[i])
		}
	}
	if r.Typed() != "He" {
		t.Error("nothing collected after the subscription ended")
	}
}
