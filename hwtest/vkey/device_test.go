package vkey

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/usbhid"
)

const (
	lockA = "00112233445566778899aabbccddeeff"
	lockB = "ffeeddccbbaa99887766554433221100"
)

// tlv is length ‖ the items, given in hexadecimal.
func tlv(t *testing.T, items string) []byte {
	t.Helper()
	b := unhex(t, strings.ReplaceAll(items, " ", ""))
	return append([]byte{byte(len(b))}, b...)
}

// TestWriteInfo has what a write of device info accepts, by both interfaces.
func TestWriteInfo(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name   string
		before string // accepted first
		items  string
		want   bool
	}{
		{"nothing", "", "", false},
		{"enable", "", "03020003", true},
		{"without any application", "", "03020000", false},
		{"unsupported", "", "03020400", false},
		{"NFC", "", "0e020200", true},
		{"unsupported by NFC", "", "0e020400", false},
		{"no NFC at all", "", "0e020000", true},
		{"times and flags", "", "06020102 070105 080180", true},
		{"mask of one byte", "", "030101", false},
		{"unknown tag", "", "550101", false},
		{"cut off", "", "030202", false},
		{"lock", "", "0a10" + lockA, true},
		{"locked", "0a10" + lockA, "03020003", false},
		{"wrong code", "0a10" + lockA, "0b10" + lockB + "03020003", false},
		{"right code", "0a10" + lockA, "0b10" + lockA + "03020003", true},
		{"changed", "0a10" + lockA, "0b10" + lockA + "0a10" + lockB, true},
		{"removed", "0a10" + lockA, "0b10" + lockA + "0a10" + strings.Repeat("00", 16), true},
		{"code of no lock", "", "0b10" + lockA + "03020003", true},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, YubiKey571, Options{})
			if v.before != "" {
				r.must(cmdWriteInfo, tlv(t, v.before))
			}
			before := hex.EncodeToString(r.info(0))
			if got := r.accepts(cmdWriteInfo, tlv(t, v.items)); got != v.want {
				t.Errorf("accepted %t, want %t", got, v.want)
			}
			if !v.want && hex.EncodeToString(r.info(0)) != before {
				t.Error("rejected, but something changed")
			}
			c := newRig(t, YubiKey571, Options{})
			apdu := func(items string) string {
				b := tlv(t, items)
				return "001c0000" + hex.EncodeToString(append([]byte{byte(len(b))}, b...))
			}
			if v.before != "" {
				says(t, c.Card(), selectMgmt+" "+apdu(v.before))
			}
			if got := says(t, c.Card(), selectMgmt+" "+apdu(v.items)); (got == "9000") != v.want {
				t.Errorf("over the card: %s", got)
			}
			if a, b := r.info(0), c.info(0); v.want && hex.EncodeToString(a) != hex.EncodeToString(b) {
				t.Errorf("by reports %x, by the card %x", a, b)
			}
		})
	}
	r := newRig(t, YubiKey571, Options{})
	r.must(cmdWriteInfo, tlv(t, "0a10"+lockA+"06020102 070105 080180"))
	if !r.HoldsLockCode([16]byte(unhex(t, lockA))) || r.HoldsLockCode([16]byte(unhex(t, lockB))) || r.HoldsLockCode([16]byte{}) {
		t.Error("another lock code")
	}
	got := hex.EncodeToString(r.info(0))
	for _, want := range []string{"06020102", "070105", "080180", "0a0101"} {
		if !strings.Contains(got, want) {
			t.Errorf("info %s lacks %s", got, want)
		}
	}
	if newRig(t, YubiKey435, Options{}).accepts(cmdWriteInfo, tlv(t, "070105")) {
		t.Error("4.3 takes device info")
	}
}

// TestReboot: with the reboot tag the key leaves once the host has seen that the write was accepted, and comes back with
// another PID; without it the interfaces change at the next power-up.
func TestReboot(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey571, Options{Serial: 3})
	conn, err := r.Open()
	if err != nil {
		t.Fatal(err)
	}
	gone, back := r.Gone(), r.Back()
	r.must(cmdWriteInfo, tlv(t, "0c00 03020201"))
	for _, c := range []<-chan struct{}{gone, back} {
		select {
		case <-c:
		default:
			t.Fatal("no reboot")
		}
	}
	if _, err := conn.GetFeature(t.Context()); !errors.Is(err, usbhid.ErrGone) {
		t.Errorf("the old connection: %v", err)
	}
	if p := r.Profile().PID; p != 0x0403 {
		t.Errorf("PID %04x", p)
	}
	if !strings.Contains(hex.EncodeToString(r.info(0)), "03020201") {
		t.Error("another mask")
	}
	r.must(cmdWriteInfo, tlv(t, "0302023f"))
	if p := r.Profile().PID; p != 0x0403 {
		t.Errorf("PID %04x without a reboot", p)
	}
	r.PowerCycle()
	if p := r.Profile().PID; p != 0x0407 {
		t.Errorf("PID %04x after a power cycle", p)
	}
	gone = r.Gone()
	if got := says(t, r.Card(), selectMgmt+" 001c0000"+"07"+"060c0003020038"); got != "9000" {
		t.Errorf("by the card: %s", got)
	}
	<-gone
	if p := r.Profile().PID; p != 0x0404 {
		t.Errorf("PID %04x", p)
	}
	if _, err := r.Get(); !errors.Is(err, ErrNoOTP) {
		t.Errorf("OTP interface: %v", err)
	}
	if got := says(t, r.Card(), selectOTP); got != "6a82" {
		t.Errorf("OTP applet: %s", got)
	}
}

// TestModePIDs has the PIDs that command 11 leads to, by generation.
func TestModePIDs(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		profile Profile
		mode    byte
		want    uint16
	}{
		{YubiKeyNEO, 0, 0x0110}, {YubiKeyNEO, 1, 0x0112}, {YubiKeyNEO, 2, 0x0111}, {YubiKeyNEO, 3, 0x0113}, {YubiKeyNEO, 4, 0x0114},
		{YubiKeyNEO, 5, 0x0115}, {YubiKeyNEO, 6, 0x0116}, {YubiKey435, 2, 0x0405}, {YubiKey435, 0x81, 0x0404}, {YubiKey571, 4, 0x0403},
	} {
		r := newRig(t, v.profile, Options{})
		r.must(cmdWrite1, otp().bytes(t))
		r.frame(cmdScanMap, unhex(t, strings.Repeat("63", 51)))
		r.must(cmdMode, []byte{v.mode})
		r.PowerCycle()
		if got := r.Profile().PID; got != v.want {
			t.Errorf("%v mode %02x: PID %04x, want %04x", v.profile.Version, v.mode, got, v.want)
		}
	}
	if got := YubiKeyNEO.Without(CCID); got.PID != 0x0114 || got.product() != "Yubikey NEO OTP+U2F" {
		t.Errorf("%04x %s", got.PID, got.product())
	}
}

// TestFeatures has the version gates of §3.2 and §3.4 at their edges.
func TestFeatures(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		feature Feature
		with    string // firmware that has it
		without string
	}{
		{Slot2, "2.0.0 5.7.1", "1.3.0"},
		{HOTPCodes, "2.1.0", "2.0.9"},
		{InitialFactor, "2.2.0", "2.1.9"},
		{Challenges, "2.2.0 3.4.3", "2.1.9"},
		{ReadSerial, "2.2.0", "2.1.9"},
		{SerialByUSB, "2.2.0 2.4.3 3.2.0 4.3.5", "2.1.9 3.0.0 3.1.9"},
		{SerialByButton, "2.2.0 2.4.9", "2.1.9 3.0.0"},
		{Updates, "2.3.0", "2.2.9"},
		{FastTrigger, "2.3.0 3.0.0", "2.2.9"},
		{Dormancy, "2.3.0", "2.2.9"},
		{NumericKeypad, "2.3.0 2.4.3", "2.2.9 3.0.0"},
		{TypingDelays, "1.0.0 2.4.3", "3.0.0"},
		{ManualUpdate, "2.0.0 2.4.3", "1.3.0 3.0.0"},
		{InvertLED, "2.4.0 3.1.0 5.2.7", "2.3.9 3.0.9"},
		{NDEF, "3.0.0 3.4.3 5.4.3", "2.2.0 2.4.3 4.3.5"},
		{ScanMap, "3.0.0", "2.4.3"},
		{ReadInfo, "4.1.0", "4.0.9 3.4.3"},
		{WriteInfo, "5.0.0", "4.4.5"},
	} {
		for list, want := range map[string]bool{v.with: true, v.without: false} {
			for _, s := range strings.Fields(list) {
				p := Profile{NFC: true}.At(Version{s[0] - '0', s[2] - '0', s[4] - '0'})
				if got := p.Has(v.feature); got != want {
					t.Errorf("feature %d of %s: %t", v.feature, s, got)
				}
			}
		}
	}
	beta := Profile{Version: Version{2, 1, 7}, PID: 0x0010, NFC: true, Quirks: NEOBeta}
	if beta.Has(Slot2) || !beta.Has(NDEF) || !beta.Has(InitialFactor) || !beta.knows(cmdNDEF1) || beta.knows(cmdNDEF2) || beta.knows(cmdWrite2) {
		t.Error("NEO beta")
	}
}

// TestQuirks has the quirks of each profile; that they show is in the tests of what they spoil.
func TestQuirks(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		version Version
		want    Quirk
	}{
		{Version{2, 4, 3}, 0},
		{Version{3, 4, 3}, StaleSequence | ModeInSelect | SilentWrite | StuckManagement | OldApplet | Reclaim},
		{Version{4, 2, 4}, Reclaim | ModeInSelect | CardReadOnly | WrongCapabilities},
		{Version{4, 3, 1}, Reclaim | ModeInSelect | CardReadOnly},
		{Version{4, 3, 5}, Reclaim | ModeInSelect | CardReadOnly | CodeStays},
		{Version{5, 2, 7}, Reclaim | CardReadOnly | CardStale | GarbledStatus},
		{Version{5, 4, 2}, Reclaim | CardStale | GarbledStatus},
		{Version{5, 4, 3}, Reclaim | GarbledStatus},
		{Version{5, 7, 1}, Reclaim | WarnUnchanged},
	} {
		if got := (Profile{}).At(v.version).Quirks; got != v.want {
			t.Errorf("%v: %b, want %b", v.version, got, v.want)
		}
	}
	r := newRig(t, YubiKey435.At(Version{4, 2, 4}), Options{})
	if got := r.info(0)[3]; got == capAll4 || got == capOn4 {
		t.Errorf("4.2.4 tells its capabilities: %02x", got)
	}
}

// TestStaleSequence: without the refresh of §1.7, a write to a NEO whose slot was configured looks rejected to a client
// that compares by yubikit's rule; after it, it does not.
func TestStaleSequence(t *testing.T) {
	t.Parallel()
	for _, refresh := range []bool{false, true} {
		r := newRig(t, YubiKeyNEO, Options{Serial: 1})
		r.must(cmdWrite1, otp().bytes(t))
		r.PowerCycle()
		if refresh {
			r.frame(cmdScanMap, unhex(t, strings.Repeat("63", 51)))
		}
		if got := r.accepts(cmdWrite2, otp().bytes(t)); got != refresh {
			t.Errorf("refreshed %t: looks accepted %t", refresh, got)
		}
		if r.Slot(2).Kind != YubicoOTP {
			t.Error("not written")
		}
	}
}

// TestTag reads the NFC tag as a phone does: capability container, then the NDEF file with an OTP at its end.
func TestTag(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{})
	read := func(file string) string {
		t.Helper()
		return says(t, r.NFC(), "00a4040007d276000085010100 00a4000c02"+file+" 00b0000000")
	}
	if got := read("e103"); got != "000f20007f007f0406e104007f00ff9000" {
		t.Errorf("capability container %s", got)
	}
	empty := hex.EncodeToString([]byte("my.yubico.com/yk/#"))
	if got := read("e104"); got != "0017d1011355"+"04"+empty+"9000" {
		t.Errorf("empty key: %s", got)
	}
	r.must(cmdWrite1, otp().bytes(t))
	r.must(cmdWrite2, sha1Conf(rfc4226, "0000", tktOATH|tktCR, 0).bytes(t))
	kind, text, ok := r.Tap()
	if !ok || kind != 'U' || !strings.HasPrefix(text, "\x04my.yubico.com/yk/#vvcccc") || len(text) != 19+44 {
		t.Errorf("default: %c %q %t", kind, text, ok)
	}
	if s := r.Slot(1); s.UseCounter != 1 {
		t.Error("the tap did not count")
	}
	r.must(cmdNDEF2, []byte("\x0bU\x02"+"a.example/"))
	if _, text, _ := r.Tap(); text != "\x02a.example/755224" {
		t.Errorf("slot 2: %q", text)
	}
	if got := read("e104"); !strings.HasSuffix(got, hex.EncodeToString([]byte("287082"))+"9000") {
		t.Errorf("file %s", got)
	}
	r.must(cmdNDEF1, []byte("\x05T\x02enhi"))
	if kind, text, _ := r.Tap(); kind != 'T' || !strings.HasPrefix(text, "\x02enhivv") {
		t.Errorf("text: %c %q", kind, text)
	}
	if got := says(t, r.Card(), "00a4040007d276000085010100"); got != "6a82" {
		t.Errorf("over USB: %s", got)
	}
	if _, _, ok := New(YubiKey435, Options{}).Tap(); ok {
		t.Error("a key without a radio")
	}
}

// TestOverNFC: the status may be garbage, challenges are answered.
func TestOverNFC(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{})
	r.must(cmdWrite2, sha1Conf(hmacKey, "0000", 0x40, 0x26).bytes(t))
	if got := says(t, r.NFC(), selectOTP); got != "af5c6250c3a89000" {
		t.Errorf("SELECT: %s", got)
	}
	if got := says(t, r.NFC(), slotAPDU(cmdHMAC2, []byte("Sample #2"))); got != "0922d3405faa3d194f82a45830737d5cc6c75d249000" {
		t.Errorf("HMAC: %s", got)
	}
	if got := says(t, r.NFC(), slotAPDU(cmdHMAC1, []byte("x"))); got != "9000" {
		t.Errorf("HMAC of an empty slot: %s", got)
	}
	if a, b := hex.EncodeToString(r.NFC().ATR()), hex.EncodeToString(New(YubiKeyNEO, Options{}).NFC().ATR()); a[:4] != "3b8d" || b[:4] != "3b8c" {
		t.Errorf("ATRs %s %s", a, b)
	}
	if got := New(YubiKey435, Options{}).Card().ATR(); hex.EncodeToString(got) != "3bf81300008131fe15597562696b657934d4" {
		t.Errorf("ATR of a 4: %x", got)
	}
	r.must(cmdWriteInfo, tlv(t, "0e020200"))
	if got := says(t, r.NFC(), selectOTP); got != "6a82" {
		t.Errorf("disabled over NFC: %s", got)
	}
	if got := says(t, r.NFC(), "00a4040007d276000085010100"); got != "6a82" {
		t.Errorf("tag of an application that is disabled: %s", got)
	}
	if got := says(t, r.Card(), selectOTP); !strings.HasSuffix(got, "9000") {
		t.Errorf("enabled over USB: %s", got)
	}
}

// TestDormantGate: 2.2 does not know the flag.
func TestDormantGate(t *testing.T) {
	t.Parallel()
	for v, want := range map[Version]bool{{2, 2, 9}: true, {2, 3, 0}: false} {
		r := newRig(t, YubiKey24.At(v), Options{})
		r.must(cmdWrite1, otp().with(func(c *conf) { c.ext |= extDormant }).bytes(t))
		if got := r.Touch(1); got != want {
			t.Errorf("%v: reacts %t, want %t", v, got, want)
		}
	}
}

// TestInitialFactor: 2.1 has none.
func TestInitialFactor(t *testing.T) {
	t.Parallel()
	for v, want := range map[Version]uint64{{2, 1, 4}: 0, {2, 2, 0}: 16} {
		r := newRig(t, YubiKey24.At(v), Options{})
		r.must(cmdWrite1, sha1Conf(rfc4226, "0001", tktOATH, 0).bytes(t))
		if got := r.Slot(1).MovingFactor; got != want {
			t.Errorf("%v: factor %d, want %d", v, got, want)
		}
	}
}

// FuzzAPDU sends any command to any applet of any firmware over both transports: it never panics, an answer has a status
// word, and what is kept of chained commands is bounded.
func FuzzAPDU(f *testing.F) {
	for i, s := range []string{selectOTP, selectMgmt, "00030000", "001d000000", "0001100000", "10011500ff", "00a40400000007a000000527200100ffff", "001c000005040c00070105", "a4040008", "00a4000c02e104", "00b0000000"} {
		b, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), b, b)
	}
	f.Fuzz(func(t *testing.T, which byte, first, second []byte) {
		p := Profiles()[int(which)%len(Profiles())]
		now := time.Unix(0, 0)
		k := New(p, Options{Serial: 1, Rand: strings.NewReader(""), Now: func() time.Time { return now }})
		for _, c := range []*Card{k.Card(), k.NFC()} {
			for _, sel := range []string{"", selectOTP, selectMgmt, "00a4040007d2760000850101"} {
				b, _ := hex.DecodeString(sel)
				for _, apdu := range [][]byte{b, first, second} {
					got, err := c.Transmit(apdu)
					if err != nil && !errors.Is(err, ErrNoCard) && !errors.Is(err, usbhid.ErrGone) || err == nil && len(got) < 2 {
						t.Fatalf("%x: %x, %v", apdu, got, err)
					}
				}
			}
			if n := len(k.cards[c.state].chain); n > maxChain {
				t.Fatalf("keeps %d bytes", n)
			}
		}
	})
}
