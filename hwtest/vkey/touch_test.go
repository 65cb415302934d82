package vkey

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestHold has which slot reacts to how long a touch (§4.5).
func TestHold(t *testing.T) {
	t.Parallel()
	plain := otp().with(func(c *conf) { c.ext &^= extFastTrigger })
	fast := otp()
	for _, v := range []struct {
		name    string
		profile Profile
		one     conf
		two     bool
		hold    time.Duration
		want    int
	}{
		{"tap, both set", YubiKey543, fast, true, 100 * time.Millisecond, 0},
		{"short", YubiKey543, fast, true, 500 * time.Millisecond, 1},
		{"long", YubiKey543, fast, true, 3 * time.Second, 2},
		{"far too long", YubiKey543, fast, true, 7 * time.Second, 0},
		{"tap, one set", YubiKey543, plain, false, 100 * time.Millisecond, 1},
		{"long, one set", YubiKey543, plain, false, 3 * time.Second, 1},
		{"tap on 2.4 without FAST_TRIG", YubiKey24, plain, false, 100 * time.Millisecond, 0},
		{"tap on 2.4 with FAST_TRIG", YubiKey24, fast, false, 100 * time.Millisecond, 1},
		{"tap on 2.2 knows no FAST_TRIG", YubiKey24.At(Version{2, 2, 3}), fast, false, 100 * time.Millisecond, 0},
		{"long on 2.4, slot 2 empty", YubiKey24, plain, false, 3 * time.Second, 0},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, v.profile, Options{})
			r.must(cmdWrite1, v.one.bytes(t))
			if v.two {
				r.must(cmdWrite2, otp().bytes(t))
			}
			if got := r.Hold(v.hold); got != v.want {
				t.Errorf("slot %d reacted, want %d", got, v.want)
			}
			if got := r.Typed() != ""; got != (v.want != 0) {
				t.Errorf("typed: %t", got)
			}
		})
	}
}

// TestManualUpdate: 10 s and a tap draw a new password on 2.x with MAN_UPDATE, and only there.
func TestManualUpdate(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name    string
		profile Profile
		cfg     byte
		later   time.Duration
		changes bool
	}{
		{"2.4", YubiKey24, cfgStatic | cfgManUpdate, time.Second, true},
		{"2.4 without the flag", YubiKey24, cfgStatic, time.Second, false},
		{"2.4 too late", YubiKey24, cfgStatic | cfgManUpdate, time.Minute, false},
		{"5.4", YubiKey543, cfgStatic | cfgManUpdate, time.Second, false},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, v.profile, Options{Rand: strings.NewReader("012" + strings.Repeat("x", 16))})
			r.must(cmdWrite1, conf{key: testKey, ext: extFastTrigger, cfg: v.cfg}.bytes(t))
			r.Touch(1)
			before := r.Typed()
			r.Hold(10 * time.Second)
			r.Typed()
			r.now = r.now.Add(v.later)
			if r.Hold(500*time.Millisecond) != 1 {
				t.Fatal("the tap does nothing")
			}
			after := r.Typed()
			if (before != after) != v.changes {
				t.Errorf("before %q, after %q, want changed %t", before, after, v.changes)
			}
			if held := r.Holds(1, []byte(strings.Repeat("x", 16))); held != v.changes {
				t.Errorf("holds the drawn key: %t", held)
			}
			r.Touch(1)
			if again := r.Typed(); again != after {
				t.Errorf("the next touch types %q, want %q", again, after)
			}
		})
	}
}

// TestPauses has the pauses that pacing and delays ask for, in ms.
func TestPauses(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name     string
		profile  Profile
		tkt, cfg byte
		want     []int
	}{
		{"none", YubiKey543, tktCR, 0, []int{0, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"20 ms", YubiKey543, tktCR, cfgPacing1, []int{20, 20, 20, 20, 20, 20, 20, 20, 20}},
		{"40 ms", YubiKey543, 0, cfgPacing2, []int{40, 40, 40, 40, 40, 40, 40, 40}},
		{"60 ms", YubiKey543, 0, cfgPacing1 | cfgPacing2, []int{60, 60, 60, 60, 60, 60, 60, 60}},
		{"delays are for 2.x", YubiKey543, tktCR | tktDelay1 | tktDelay2, 0, []int{0, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"delays", YubiKey24, tktCR | tktDelay1 | tktDelay2, 0, []int{0, 0, 500, 0, 0, 0, 0, 0, 500}},
		{"delay and pacing", YubiKey24, tktDelay1, cfgPacing1, []int{20, 20, 520, 20, 20, 20, 20, 20}},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, v.profile, Options{})
			c := sha1Conf(rfc4226, "0000", tktOATH|v.tkt, v.cfg)
			c.fixed = "12"
			r.must(cmdWrite1, c.bytes(t))
			r.Touch(1)
			var got []int
			for _, p := range r.Pauses() {
				got = append(got, int(p.Milliseconds()))
			}
			if !slices.Equal(got, v.want) {
				t.Errorf("pauses %v, want %v", got, v.want)
			}
		})
	}
}

// TestLED: lit, dark with LED_INV and without power, blinking while a challenge waits.
func TestLED(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{})
	led := func(want LED, when string) {
		t.Helper()
		if got := r.LED(); got != want {
			t.Errorf("%s: %d, want %d", when, got, want)
		}
	}
	led(Lit, "empty")
	r.must(cmdWrite1, otp().with(func(c *conf) { c.ext |= extLEDInverted }).bytes(t))
	led(Dark, "inverted")
	r.must(cmdWrite2, sha1Conf(hmacKey, "0000", tktOATH, 0x2e).bytes(t))
	r.frame(cmdHMAC2, []byte("x"))
	led(Blinking, "challenge")
	if got := r.Hold(100 * time.Millisecond); got != 2 {
		t.Errorf("slot %d answers the challenge", got)
	}
	led(Dark, "answered")
	r.Unplug()
	led(Dark, "unplugged")
	neo := newRig(t, YubiKeyNEO.At(Version{3, 0, 4}), Options{})
	neo.must(cmdWrite1, otp().with(func(c *conf) { c.ext |= extLEDInverted }).bytes(t))
	if neo.LED() != Lit {
		t.Error("3.0 knows LED_INV")
	}
}

// TestSerialByButton: 2.x with the flag types its serial number when it is plugged in with a finger on it.
func TestSerialByButton(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		profile Profile
		ext     byte
		want    string
	}{{YubiKey24, extSerialButton, "7654321\n"}, {YubiKey24, extSerialAPI, ""}, {YubiKey543, extSerialButton, ""}, {YubiKey24.At(Version{2, 1, 0}), extSerialButton, ""}} {
		r := newRig(t, v.profile, Options{Serial: 7654321})
		r.must(cmdWrite1, otp().with(func(c *conf) { c.ext = v.ext }).bytes(t))
		r.PlugTouched()
		r.Unplug()
		if r.Typed() != "" {
			t.Error("typed while plugged in")
		}
		r.PlugTouched()
		if got := r.Typed(); got != v.want {
			t.Errorf("%v %02x: typed %q, want %q", v.profile.Version, v.ext, got, v.want)
		}
	}
}

// TestText reads through the scan map what a host with that layout shows.
func TestText(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{})
	r.must(cmdWrite1, conf{fixed: "0123456789abcdef", key: testKey, cfg: cfgStatic | cfgStrong1, tkt: tktTab1 | tktCR}.bytes(t))
	r.must(cmdScanMap, unhex(t, "0c110b071c180d0a0619130f120e09378c918b879c988d8a8699938f928e89b7271e1f202122232425269e2b28"))
	c, err := r.Open()
	if err != nil {
		t.Fatal(err)
	}
	r.Touch(1)
	got := r.Text(c.input)
	if !strings.HasPrefix(got, "CBdefghijklnrtuv\t") || !strings.HasSuffix(got, "\n") || Text(c.input)[:3] == "CBd" {
		t.Errorf("read %q", got)
	}
}

// TestHOTPCounter: the moving factor outlives power cycles and goes along with a swap.
func TestHOTPCounter(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{})
	r.must(cmdWrite1, sha1Conf(rfc4226, "0000", tktOATH, 0).bytes(t))
	r.Touch(1)
	r.PowerCycle()
	r.Touch(1)
	r.must(cmdSwap, nil)
	r.must(cmdUpdate2, otp().bytes(t))
	r.Touch(2)
	if got := r.Typed(); got != "755224287082359152\n" {
		t.Errorf("typed %q", got)
	}
	if s := r.Slot(2); s.MovingFactor != 3 {
		t.Errorf("moving factor %d", s.MovingFactor)
	}
}
