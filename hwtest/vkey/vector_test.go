package vkey

import (
	"encoding/hex"
	"strings"
	"testing"
)

// TestFrameVectors sends F1 to F16 of reference yubikey-otp.md §3.10 to a 5.4.3 and looks at what the slot holds then.
func TestFrameVectors(t *testing.T) {
	t.Parallel()
	const hotpParts = "0030313233343583 363738393a3b3c84 3d3e3f0000000085"
	for _, v := range []struct {
		name, before, reports string
		slot                  int
		kind                  Kind
		public, secret, code  string
		ext, tkt, cfg         byte
		factor                uint64
	}{
		{name: "F1", reports: "0000000000000080 00106b5b00000089", slot: 1, kind: Empty},
		{name: "F2", reports: "0000000000000080 0000000102030085 0032017300000089", slot: 1, kind: Empty},
		{name: "F3", reports: "0000000000000080 0000000020000086 0046c00000000087 0001955600000089", slot: 1, kind: YubicoOTP,
			secret: strings.Repeat("00", 16), tkt: 0x20},
		{name: "F4", reports: "0000000000000080 00e2bee9a3656883 a00d026a02f85e84 61e6fb0000000085 0000000020200086 005a930000000087 0001955600000089",
			slot: 1, kind: StaticTicket, secret: "e2bee9a36568a00d026a02f85e61e6fb", tkt: 0x20, cfg: 0x20},
		{name: "F5", reports: "0000000000000080 00e2bee9a3656883 a00d026a02f85e84 61e6fb0102030485 0506000020200086 000d390102030487 0506000000000088 0001c2fc00000089",
			slot: 1, kind: StaticTicket, secret: "e2bee9a36568a00d026a02f85e61e6fb", code: "010203040506", tkt: 0x20, cfg: 0x20},
		{name: "F6", reports: "0000000000000080 0000404142430082 0030313233343583 363738393a3b3c84 3d3e3f0000000085 0000000440260086 0098410000000087 0003955600000089",
			slot: 2, kind: ChalHMAC, secret: hmacKey, ext: 4, tkt: 0x40, cfg: 0x26},
		{name: "F7", reports: "0000000000000080 0000404142430082 " + hotpParts + " 0000000040220086 00e90f0000000087 0003955600000089",
			slot: 2, kind: ChalHMAC, secret: hmacKey, tkt: 0x40, cfg: 0x22},
		{name: "F8", reports: "0000000000000080 0000404142430082 " + hotpParts + " 0000000040000086 006ab90000000087 0003955600000089",
			slot: 2, kind: HOTP, secret: hmacKey, tkt: 0x40},
		{name: "F9", reports: "0102030405060080 0000404142430082 " + hotpParts + " 0000060040420086 000eec0000000087 0003955600000089",
			slot: 2, kind: HOTP, public: "010203040506", secret: hmacKey, tkt: 0x40, cfg: 0x42},
		{name: "F10", reports: "0102030405060080 0000404142430182 2130313233343583 363738393a3b3c84 3d3e3f0000000085 0000060040420086 0003ea0000000087 0003955600000089",
			slot: 2, kind: HOTP, public: "010203040506", secret: hmacKey, tkt: 0x40, cfg: 0x42, factor: 0x1210},
		{name: "F11", reports: "ff0000bc614e0080 0000010203040582 0600010203040583 060708090a0b0c84 0d0e0f0000000085 0000063420000086 005c520000000087 0001955600000089",
			slot: 1, kind: YubicoOTP, public: otpPlain, secret: testKey + testUID, ext: 0x34, tkt: 0x20},
		{name: "F12", reports: "8b080f0f122c9a80 12150f079e000081 0000103420020086 00dddf0000000087 0003955600000089",
			slot: 2, kind: StaticCodes, public: "8b080f0f122c9a12150f079e00000000", secret: "8b080f0f122c9a12150f079e" + strings.Repeat("00", 26), ext: 0x34, tkt: 0x20, cfg: 2},
		{name: "F13", before: "0000000000000080 0000000020000086 0046c00000000087 0001955600000089",
			reports: "0000000000000080 00016b5b00000089", slot: 1, kind: Empty},
		{name: "F14", before: "8b080f0f122c9a80 12150f079e000081 000010342c020086 00e9480000000087 0003955600000089",
			reports: "0000000000000080 0000103420000086 00377b0000000087 0005955600000089", slot: 2, kind: StaticCodes,
			public: "8b080f0f122c9a12150f079e00000000", ext: 0x34, tkt: 0x20, cfg: 2},
		{name: "F15", reports: "deadbeefdeadbe80 efdeadbeefdead81 beef000000000082 0000102020a00086 002aac0000000087 0001955600000089",
			slot: 1, kind: StaticTicket, public: "deadbeefdeadbeefdeadbeefdeadbeef", ext: 0x20, tkt: 0x20, cfg: 0xa0},
		{name: "F16", reports: "4d4d4d4d00000080 00523d7ce7e7b683 ee853517a3e3cc84 1985c70000000085 0000040060700086 0072adaabbccdd87 eeff000000000088 0003fec400000089",
			slot: 2, kind: ChalYubico, public: "4d4d4d4d", secret: "523d7ce7e7b6ee853517a3e3cc1985c7", tkt: 0x60, cfg: 0x70},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, YubiKey543, Options{Serial: 1})
			r.send(v.before)
			r.send(v.reports)
			s := r.Slot(v.slot)
			if s.Kind != v.kind || hex.EncodeToString(s.PublicID) != v.public || s.MovingFactor != v.factor {
				t.Errorf("slot holds %v %x factor %d, want %v %s factor %d", s.Kind, s.PublicID, s.MovingFactor, v.kind, v.public, v.factor)
			}
			if s.Ext != v.ext || s.Tkt != v.tkt || s.Cfg != v.cfg {
				t.Errorf("flags %02x/%02x/%02x, want %02x/%02x/%02x", s.Ext, s.Tkt, s.Cfg, v.ext, v.tkt, v.cfg)
			}
			if v.secret != "" && !r.Holds(v.slot, unhex(t, v.secret)) {
				t.Error("slot holds another secret")
			}
			if s.Protected != (v.code != "") {
				t.Errorf("protected is %v", s.Protected)
			}
			if v.code != "" && !r.HoldsAccessCode(v.slot, [6]byte(unhex(t, v.code))) {
				t.Error("slot has another access code")
			}
		})
	}
}

// TestCRC16 has the vectors of §3.10.
func TestCRC16(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		data string
		crc  uint16
	}{
		{"0001020304", 0xf5c7},
		{"fe", 0x1176},
		{"55aa00ff", 0xcbb5},
		{"01020304", 0xc66e},
		{"010203040506307500093dfa60ea", 0x8a0b},
		{strings.Repeat("00", 64), 0x5b6b},
	} {
		if got := crc16(unhex(t, v.data)); got != v.crc {
			t.Errorf("crc16(%s) = %04x, want %04x", v.data, got, v.crc)
		}
	}
}

// TestSerialTrace is the complete trace of §1.5.
func TestSerialTrace(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543, Options{Serial: 7654321})
	r.send("0000000000000080 00106b5b00000089")
	for _, want := range []string{"0074cbb167950040", "0000000000000040"} {
		if got := r.get(); hex.EncodeToString(got[:]) != want {
			t.Errorf("GET %x, want %s", got, want)
		}
	}
	r.send("000000000000008f")
	if got := r.get(); hex.EncodeToString(got[:]) != "0005040300000500" {
		t.Errorf("status %x", got)
	}
}

// TestHMACVectors has the responses of §3.9 and §3.10.
func TestHMACVectors(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name, key, challenge string
		cfg                  byte
		want                 string
	}{
		{"YubiKey 5 NFC", "b3cd9bc5afa573fc2ea2b7baa995af99fef9b2b4", "1122334455667788", 0x26, "884701c5995a388f2832246fdee22196943825bf"},
		{"0b", strings.Repeat("0b", 20), hex.EncodeToString([]byte("Hi There")), 0x26, "b617318655057264e28bc0b6fb378c8ef146be00"},
		{"sample 2", hmacKey, hex.EncodeToString([]byte("Sample #2")), 0x26, "0922d3405faa3d194f82a45830737d5cc6c75d24"},
		{"sample", hmacKey, hex.EncodeToString([]byte("Sample")), 0x26, "a6bd3958538643d25effa2c6716b6cfdc5d0196a"},
		{"short key", "abba" + strings.Repeat("00", 18), "abba", 0x26, "f8de2586056d89d8b961a072d1245a495d2155e1"},
		{"padded with ff", hmacKey, hex.EncodeToString([]byte("Sample")) + strings.Repeat("ff", 58), 0x26, "a6bd3958538643d25effa2c6716b6cfdc5d0196a"},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, YubiKey543, Options{})
			r.must(cmdWrite2, sha1Conf(v.key, "0000", 0x40, v.cfg).bytes(t))
			got := r.answer(cmdHMAC2, unhex(t, v.challenge), 20)
			if hex.EncodeToString(got) != v.want {
				t.Errorf("response %x, want %s", got, v.want)
			}
		})
	}
}

// TestTicketVectors types the vectors of §4.4 whose counters a key can reach: number 4 has a use counter above 7FFF,
// number 5 one of 0.
func TestTicketVectors(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name, key, uid, public string
		use, session           int
		stamp, rnd             string // as they stand in the ticket
		want                   string
	}{
		{"1", testKey, testUID, "", 1, 1, "010001", "0000", "dvgtiblfkbgturecfllberrvkinnctnn"},
		{"2", testKey, testUID, "", 1, 2, "010001", "0000", "rnibcnfhdninbrdebccrndfhjgnhftee"},
		{"3", testKey, testUID, "", 0xfff, 1, "010001", "0000", "iikkijbdknrrdhfdrjltvgrbkkjblcbh"},
		{"6", "c4422890653076cde73d449b191b416a", "33c69e7f249e", "", 1, 0, "a71324", "3cc6", "iucvrkjiegbhidrcicvlgrcgkgurhjnj"},
		{"7", "ecde18dbe76fbd0c33330f1c354871db", "8792ebfe26cc", "2d344e83", 0x13, 0x11, "30c200", "c89f", "dteffujehknhfjbrjnlnldnhcujvddbikngjrtgh"},
		{"8", "c68c9df8cbfe7d2f994cb904046c7218", "609963eae7b5", "729434c26dce", 1, 0, "408d0f", "4754", "idkfefrdhtrutjduvtcjbfeuvhehdvjjlbchtlenfgku"},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, YubiKey543, Options{Rand: &byLength{stamp: unhex(t, v.stamp), rnd: unhex(t, v.rnd)}})
			r.must(cmdWrite1, conf{fixed: v.public, key: v.key, uid: v.uid}.bytes(t))
			for range v.use - 1 {
				r.Touch(1)
				r.PowerCycle()
			}
			for range v.session {
				r.Touch(1)
			}
			r.Typed()
			r.Touch(1)
			if got := r.Typed(); got != v.want {
				t.Errorf("typed %q, want %q", got, v.want)
			}
		})
	}
}

// byLength answers reads by their length: 3 bytes are a timestamp, 2 the random field.
type byLength struct{ stamp, rnd []byte }

func (b *byLength) Read(p []byte) (int, error) {
	if len(p) == len(b.stamp) {
		return copy(p, b.stamp), nil
	}
	return copy(p, b.rnd), nil
}
