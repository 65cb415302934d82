package vkey

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"testing"
)

// info reads one page of device info; nil if there is no answer.
func (r *rig) info(page byte) []byte {
	r.t.Helper()
	r.frame(cmdDeviceInfo, []byte{page})
	out := r.response()
	if out == nil {
		return nil
	}
	n := int(out[0]) + 1
	if crc16(out[:n+2]) != crcResidual {
		r.t.Fatalf("page %d: bad CRC in %x", page, out)
	}
	return out[:n]
}

// TestDeviceInfo has the pages of each firmware. The 5.2.7 answer is the one captured in §1.8, except the enabled mask,
// which §9.3 wants as 23F.
func TestDeviceInfo(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name    string
		profile Profile
		serial  uint32
		pages   []string // empty: no answer
	}{
		{"2.4", YubiKey24, 1, []string{""}},
		{"4.3.5, as 4.3.7 in §7.2", YubiKey435, 0x6b956a, []string{"0c0101ff0204006b956a03013f", "00"}},
		{"5.2.7", YubiKey527, 0xf0f43b, []string{"260102023f0302023f020400f0f43b04010305030502070602000007010f0801000a01000f0100", "00"}},
		{"5.4.3 OTP only", YubiKey543.WithPID(0x0401), 1, []string{
			"2e0102023f0302000102040000000104010105030504030602000007010f0801000d02023f0e02023f0a01000f0100", "00"}},
		{"5.4.3 OTP+CCID", YubiKey543.WithPID(0x0405), 0, []string{
			"280102023f0302003904010105030504030602000007010f0801000d02023f0e02023f0a01000f0100"}},
		{"5.7.1", YubiKey571, 1, []string{
			"310102023f0302023f02040000000104010305030507010602000007010f0801000d02023f0e02023f0a01000f0100100101",
			"10130b5649525455414c2d4b4559160100", "00"}},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, v.profile, Options{Serial: v.serial})
			for page, want := range v.pages {
				if got := hex.EncodeToString(r.info(byte(page))); got != want {
					t.Errorf("page %d: %s, want %s", page, got, want)
				}
			}
		})
	}
}

// TestSerialVisible has the rule of §1.7: readable with SERIAL_API_VISIBLE in any slot, or with both slots empty.
func TestSerialVisible(t *testing.T) {
	t.Parallel()
	seen := otp()
	unseen := otp().with(func(c *conf) { c.ext &^= extSerialAPI })
	for _, v := range []struct {
		name     string
		profile  Profile
		opts     Options
		one, two *conf
		want     bool
	}{
		{"empty", YubiKey543, Options{Serial: 5}, nil, nil, true},
		{"flag", YubiKey24, Options{Serial: 5}, &seen, nil, true},
		{"no flag", YubiKey543, Options{Serial: 5}, &unseen, nil, false},
		{"flag in the other slot", YubiKey543, Options{Serial: 5}, &unseen, &seen, true},
		{"hidden", YubiKey543, Options{Serial: 5, HideSerial: true}, &seen, nil, false},
		{"none", YubiKey543, Options{}, nil, nil, false},
		{"firmware 2.1", Profile{Version: Version{2, 1, 4}, PID: 0x0010}, Options{Serial: 5}, nil, nil, false},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, v.profile, v.opts)
			if v.one != nil {
				r.must(cmdWrite1, v.one.bytes(t))
			}
			if v.two != nil {
				r.must(cmdWrite2, v.two.bytes(t))
			}
			got := r.answer(cmdSerial, nil, 4)
			if (got != nil) != v.want || got != nil && binary.BigEndian.Uint32(got) != 5 {
				t.Errorf("serial %x, want visible %v", got, v.want)
			}
			if v.profile == YubiKey543 && bytes.Contains(r.info(0), []byte{tagSerial, 4, 0, 0, 0, 5}) != v.want {
				t.Error("device info does not agree")
			}
		})
	}
}

// TestUSB has the descriptor's contents, and that iSerial and mode change only at power-up.
func TestUSB(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{Serial: 7654321})
	if got, want := r.USB(), (USB{0x0407, 0x0543, "YubiKey OTP+FIDO+CCID", ""}); got != want {
		t.Errorf("USB %+v, want %+v", got, want)
	}
	r.must(cmdWrite1, otp().with(func(c *conf) { c.ext |= extSerialUSB }).bytes(t))
	r.must(cmdMode, []byte{4})
	if u := r.USB(); u.Serial != "" || u.PID != 0x0407 {
		t.Errorf("USB changed before a power cycle: %+v", u)
	}
	r.PowerCycle()
	if got, want := r.USB(), (USB{0x0403, 0x0543, "YubiKey OTP+FIDO", "0007654321"}); got != want {
		t.Errorf("USB %+v, want %+v", got, want)
	}
}

// TestInterfaces has the PIDs of §1.1 that matter.
func TestInterfaces(t *testing.T) {
	t.Parallel()
	for pid, want := range map[uint16]Interface{
		0x0010: OTP, 0x0111: OTP | CCID, 0x0113: FIDO, 0x0116: OTP | FIDO | CCID, 0x0120: FIDO, 0x0401: OTP, 0x0402: FIDO,
		0x0403: OTP | FIDO, 0x0405: OTP | CCID, 0x0407: OTP | FIDO | CCID, 0x0410: OTP | FIDO, 0x0408: 0, 0x0400: 0,
	} {
		if got := Interfaces(pid); got != want {
			t.Errorf("Interfaces(%04x) = %b, want %b", pid, got, want)
		}
	}
	if got := YubiKey543.Without(CCID).PID; got != 0x0403 {
		t.Errorf("Without(CCID) has PID %04x", got)
	}
}
