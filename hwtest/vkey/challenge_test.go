package vkey

import (
	"bytes"
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha1"
	"testing"
	"time"
)

// TestHMACTrailing has the trailing rule of §3.9, by lengths of the message that must be MACed.
func TestHMACTrailing(t *testing.T) {
	t.Parallel()
	full := bytes.Repeat([]byte{9}, 64)
	for i := range full {
		full[i] = byte(i)
	}
	endsInZero := append([]byte{1, 2, 0}, bytes.Repeat([]byte{1}, 61)...)
	for _, v := range []struct {
		name    string
		payload []byte
		cfg     byte
		macs    []byte
	}{
		{"fixed takes all 64", []byte("abc"), 0x22, append([]byte("abc"), make([]byte, 61)...)},
		{"variable", []byte("abc"), 0x26, []byte("abc")},
		{"variable loses its own zeros", []byte{1, 2, 0}, 0x26, []byte{1, 2}},
		{"variable padded by another byte", endsInZero, 0x26, []byte{1, 2, 0}},
		{"variable of 64 loses the last", full, 0x26, full[:63]},
		{"all zero", nil, 0x26, []byte{0}},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, YubiKey527, Options{})
			r.must(cmdWrite1, sha1Conf(hmacKey, "0000", 0x40, v.cfg).bytes(t))
			m := hmac.New(sha1.New, unhex(t, hmacKey))
			m.Write(v.macs)
			if got := r.answer(cmdHMAC1, v.payload, 20); !bytes.Equal(got, m.Sum(nil)) {
				t.Errorf("response %x is not the HMAC of %x", got, v.macs)
			}
		})
	}
}

// TestYubicoChallenge: the answer is a ticket whose uid is the challenge, new each time.
func TestYubicoChallenge(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey24, Options{})
	r.must(cmdWrite2, conf{key: testKey, tkt: 0x40, cfg: 0x20}.bytes(t))
	block, err := aes.NewCipher(unhex(t, testKey))
	if err != nil {
		t.Fatal(err)
	}
	challenge := unhex(t, "a1a2a3a4a5a6")
	for session := range 2 {
		got := r.answer(cmdYubico2, challenge, 16)
		if got == nil {
			t.Fatal("no response")
		}
		block.Decrypt(got, got)
		if crc16(got) != crcResidual || !bytes.Equal(got[:6], challenge) || got[6] != 1 || got[11] != byte(session) {
			t.Errorf("response %d decrypts to %x", session, got)
		}
	}
}

// TestChallengeRefused: a challenge that the slot is not for leaves the status.
func TestChallengeRefused(t *testing.T) {
	t.Parallel()
	hmacConf := sha1Conf(hmacKey, "0000", 0x40, 0x22)
	for _, v := range []struct {
		name string
		conf conf
		cmd  byte
	}{
		{"HMAC to a Yubico slot", conf{key: testKey, tkt: 0x40, cfg: 0x20}, cmdHMAC1},
		{"Yubico to an HMAC slot", hmacConf, cmdYubico1},
		{"HMAC to an OTP slot", otp(), cmdHMAC1},
		{"HMAC to the empty slot", hmacConf, cmdHMAC2},
		{"dormant", hmacConf.with(func(c *conf) { c.ext |= extDormant }), cmdHMAC1},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, YubiKey543, Options{})
			r.must(cmdWrite1, v.conf.bytes(t))
			if got := r.answer(v.cmd, []byte("abc"), 20); got != nil {
				t.Errorf("answered %x", got)
			}
			if r.get()[4] != 1 {
				t.Error("ProgSeq moved")
			}
		})
	}
}

// TestChallengeTouch: a slot with CHAL_BTN_TRIG shows the seconds left until it is touched, reset or times out.
func TestChallengeTouch(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T) *rig {
		r := newRig(t, YubiKey543, Options{})
		r.must(cmdWrite2, sha1Conf(hmacKey, "0000", 0x40, 0x2e).bytes(t))
		r.frame(cmdHMAC2, []byte("Sample"))
		if got := r.get()[7]; got != flagTouch|15 {
			t.Fatalf("flag %02x, want 2f", got)
		}
		return r
	}
	t.Run("touched", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		r.now = r.now.Add(3500 * time.Millisecond)
		if got := r.get()[7]; got != flagTouch|12 {
			t.Errorf("flag %02x after 3.5 s, want 2c", got)
		}
		if !r.Touch(2) || r.Typed() != "" {
			t.Error("the touch typed or did nothing")
		}
		m := hmac.New(sha1.New, unhex(t, hmacKey))
		m.Write([]byte("Sample"))
		if got := r.response(); !bytes.Equal(got[:20], m.Sum(nil)) {
			t.Errorf("response %x", got)
		}
	})
	t.Run("timeout", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		r.now = r.now.Add(15 * time.Second)
		if got := r.get()[7]; got != 0 {
			t.Errorf("flag %02x after 15 s", got)
		}
		if r.Touch(2) {
			t.Error("touch answered after the timeout")
		}
	})
	t.Run("reset", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		r.send("00000000000000ff")
		if got := r.get()[7]; got != 0 {
			t.Errorf("flag %02x after reset", got)
		}
	})
	t.Run("never comes", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		r.SetFaults(Faults{NoTouch: 3})
		n := 1
		for ; r.get()[7]&flagTouch != 0; n++ {
		}
		if n != 3 {
			t.Errorf("gave up after %d reads, want 3", n)
		}
	})
	t.Run("timeout of command 11", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		r.send("00000000000000ff")
		r.must(cmdMode, []byte{6, 5})
		r.frame(cmdHMAC2, nil)
		if got := r.get()[7]; got != flagTouch|5 {
			t.Errorf("flag %02x, want 25", got)
		}
	})
}
