package vkey

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/usbhid"
)

// says sends commands given in hexadecimal, one a word, and returns the last answer in hexadecimal.
func says(t *testing.T, c *Card, apdus string) string {
	t.Helper()
	var got []byte
	for _, a := range strings.Fields(apdus) {
		var err error
		if got, err = c.Transmit(unhex(t, a)); err != nil {
			t.Fatalf("%s: %v", a, err)
		}
	}
	return hex.EncodeToString(got)
}

// slotAPDU is a slot command for the OTP applet, in hexadecimal.
func slotAPDU(cmd byte, pay []byte) string {
	b := []byte{0, insSlot, cmd, 0}
	if len(pay) > 0 {
		b = append(append(b, byte(len(pay))), pay...)
	}
	return hex.EncodeToString(b)
}

const (
	selectOTP  = "00a4040007a0000005272001"
	selectMgmt = "00a4040008a000000527471117"
)

// TestCard has what each profile says to the commands of §5 and §7.1.
func TestCard(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name    string
		profile Profile
		apdus   string
		want    string
	}{
		{"SELECT of OTP", YubiKey543, selectOTP, "050403000005" + "9000"},
		{"SELECT by the long form", YubiKey543, "00a4040008a000000527200101", "050403000005" + "9000"},
		{"SELECT of OTP, 4.3", YubiKey435, selectOTP, "040305000005" + "060f0000" + "9000"},
		{"SELECT of OTP, NEO", YubiKeyNEO, selectOTP, "030300000005" + "060f0000" + "9000"},
		{"status", YubiKey571, selectOTP + " 00030000", "050701000005" + "9000"},
		{"serial", YubiKey571, selectOTP + " " + slotAPDU(cmdSerial, nil), "0074cbb1" + "9000"},
		{"write", YubiKey571, selectOTP + " " + slotAPDU(cmdWrite1, otp().bytes(t)), "050701010505" + "9000"},
		{"write on a NEO answers nothing", YubiKeyNEO, selectOTP + " " + slotAPDU(cmdWrite1, otp().bytes(t)), "9000"},
		{"status after it", YubiKeyNEO, selectOTP + " " + slotAPDU(cmdWrite1, otp().bytes(t)) + " 00030000", "030300010505" + "9000"},
		{"rejected", YubiKey543, selectOTP + " " + slotAPDU(cmdUpdate1, otp().bytes(t)), "050403000005" + "9000"},
		{"rejected, 5.7", YubiKey571, selectOTP + " " + slotAPDU(cmdUpdate1, otp().bytes(t)), "6200"},
		{"write on 4.3", YubiKey435, selectOTP + " " + slotAPDU(cmdWrite1, otp().bytes(t)), "6985"},
		{"write on 5.2", YubiKey527, selectOTP + " " + slotAPDU(cmdWrite1, otp().bytes(t)), "6985"},
		{"ProgSeq on 5.3 is stale", YubiKey543.At(Version{5, 3, 0}), selectOTP + " " + slotAPDU(cmdWrite1, otp().bytes(t)) + " " + slotAPDU(cmdWrite2, otp().bytes(t)), "050300000f05" + "9000"},
		{"FIPS mode", YubiKey571, selectOTP + " " + slotAPDU(cmdFIPSMode, nil), "6b00"},
		{"challenge over USB", YubiKey571, selectOTP + " " + slotAPDU(cmdHMAC1, []byte{1}), "6985"},
		{"unknown instruction", YubiKey571, selectOTP + " 00550000", "6d00"},
		{"nothing selected", YubiKey571, "00030000", "6d00"},
		{"SELECT of Management", YubiKey571, selectMgmt, hex.EncodeToString([]byte("Virtual mgr - FW version 5.7.1")) + "9000"},
		{"on a YubiKey Edge", YubiKey435.with(TwiceSW), selectMgmt, hex.EncodeToString([]byte("Virtual mgr - FW version 4.3.5")) + "9000" + "9000"},
		{"device info", YubiKey435, selectMgmt + " 001d0000", "0c0101ff02040074cbb103013f" + "9000"},
		{"second page", YubiKey571, selectMgmt + " 001d0100", "10130b5649525455414c2d4b4559160100" + "9000"},
		{"no device info on a NEO", YubiKeyNEO, selectMgmt + " 001d0000", "6d00"},
		{"no mode by a NEO's Management", YubiKeyNEO, selectMgmt + " 001611000402000000", "6d00"},
		{"mode of a NEO by OTP", YubiKeyNEO, selectOTP + " " + slotAPDU(cmdMode, []byte{2, 5, 1, 2}) + " " + selectOTP, "030300000005" + "02050102" + "9000"},
		{"NEO's Management sticks", YubiKeyNEO, selectMgmt + " " + selectOTP, "6a82"},
		{"until it is told", YubiKeyNEO, selectMgmt + " a4040008 " + selectOTP, "030300000005060f0000" + "9000"},
		{"mode of a 4 by Management", YubiKey435, selectMgmt + " 0016110004" + "02000000" + " " + selectOTP, "040305000005" + "020f0000" + "9000"},
		{"PIV", YubiKey571, "00a4040005a000000308", "6a82"},
		{"failed SELECT keeps the applet", YubiKey571, selectOTP + " 00a4040005a000000308 00030000", "050701000005" + "9000"},
		{"secure messaging", YubiKey571, "04a40400", "6e00"},
		{"length", YubiKey571, selectOTP + " 00010300050102", "6700"},
		{"more than the length says", YubiKey571, selectOTP + " 0001030001" + "01" + "020304", "6700"},
		{"endless chain", YubiKey571, selectOTP + strings.Repeat(" 10010100ff"+strings.Repeat("00", 255), maxChain/255+1), "6700"},
		{"extended length", YubiKey571, "00a40400000007a00000052720010000", "050701000005" + "9000"},
		{"Le of 2", YubiKey571, selectMgmt + " 001d010002", "1013" + "610f"},
		{"the rest", YubiKey571, selectMgmt + " 001d010002 00c0000000", "0b5649525455414c2d4b4559160100" + "9000"},
		{"chained", YubiKey571, selectOTP + " 10010100" + "1d" + hex.EncodeToString(otp().bytes(t)[:29]) + " 00010100" + "1d" + hex.EncodeToString(otp().bytes(t)[29:]), "050701010505" + "9000"},
		{"OTP disabled", YubiKey571.WithPID(0x0406), selectOTP, "6a82"},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, v.profile, Options{Serial: 7654321})
			if got := says(t, r.Card(), v.apdus); got != v.want {
				t.Errorf("got %s, want %s", got, v.want)
			}
		})
	}
}

func (p Profile) with(q Quirk) Profile {
	p.Quirks |= q
	return p
}

// TestCardGone: an unplugged key and one without the interface answer with errors; a power cycle forgets what was selected.
func TestCardGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey571, Options{})
	c := r.Card()
	says(t, c, selectOTP)
	r.Unplug()
	if _, err := c.Transmit(unhex(t, selectOTP)); !errors.Is(err, usbhid.ErrGone) || c.Present() {
		t.Errorf("unplugged: %v", err)
	}
	r.Plug()
	if got := says(t, c, "00030000"); got != "6d00" {
		t.Errorf("after plugging in: %s", got)
	}
	says(t, c, selectOTP)
	c.Reset()
	if got := says(t, c, "00030000"); got != "6d00" {
		t.Errorf("after a reset: %s", got)
	}
	for _, p := range []Profile{YubiKey571.WithPID(0x0403), YubiKey24} {
		if _, err := New(p, Options{}).Card().Transmit(unhex(t, selectOTP)); !errors.Is(err, ErrNoCard) {
			t.Errorf("%04x: %v", p.PID, err)
		}
	}
	if _, err := New(YubiKey527, Options{}).NFC().Transmit(unhex(t, selectOTP)); !errors.Is(err, ErrNoCard) {
		t.Errorf("no radio: %v", err)
	}
}

// TestBothInterfaces: what one interface writes, the other shows; a NEO's OTP interface shows the old ProgSeq until a frame
// was run (§1.7), and while the interface is reclaimed frames are ignored.
func TestBothInterfaces(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		profile     Profile
		seen, after byte
	}{{YubiKeyNEO, 0, 1}, {YubiKey571, 1, 1}} {
		r := newRig(t, v.profile, Options{Serial: 5, Reclaim: 3 * time.Second})
		says(t, r.Card(), selectOTP+" "+slotAPDU(cmdWrite1, otp().bytes(t)))
		if got := r.get(); got[4] != v.seen || got[5] != 5 {
			t.Errorf("%v: ProgSeq %d, want %d; touch level %02x", v.profile.Version, got[4], v.seen, got[5])
		}
		if r.answer(cmdSerial, nil, 4) != nil {
			t.Errorf("%v: answered while it is reclaimed", v.profile.Version)
		}
		r.now = r.now.Add(3 * time.Second)
		r.frame(cmdScanMap, unhex(t, strings.Repeat("63", 51)))
		if got := r.get(); got[4] != v.after || got[7] != 0 {
			t.Errorf("%v: ProgSeq %d, want %d", v.profile.Version, got[4], v.after)
		}
		if r.answer(cmdSerial, nil, 4) == nil {
			t.Errorf("%v: not reclaimed", v.profile.Version)
		}
	}
}

// TestBeside: a reader that resets its card, or selects something else, deselects nothing beside it; being powered anew does.
func TestBeside(t *testing.T) {
	t.Parallel()
	k := New(YubiKey543, Options{Serial: 5})
	says(t, k.Beside(), selectOTP)
	says(t, k.Card(), selectMgmt)
	k.Card().Reset()
	const status = "00030000"
	if got := says(t, k.Beside(), status); got != "0504030000059000" {
		t.Errorf("status: %s", got)
	}
	k.PowerCycle()
	if got := says(t, k.Beside(), status); got == "0504030000059000" {
		t.Error("still selected after a power cycle")
	}
}
