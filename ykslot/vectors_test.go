package ykslot

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

const (
	keyA  = "e2bee9a36568a00d026a02f85e61e6fb"
	key30 = "303132333435363738393a3b3c3d3e3f"
	key0f = "000102030405060708090a0b0c0d0e0f"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// frameVectors are F1 to F16 of reference yubikey-otp.md §3.10. Those of other modes than Yubico OTP prove the encoder.
var frameVectors = []struct {
	name    string
	cmd     Command
	raw     string // payload, instead of a configuration
	fixed   string
	uid     string
	key     string
	code    string
	flags   Flags
	current string
	want    string
}{
	{name: "F1", cmd: CommandSerial, raw: "00", want: "0000000000000080 00106b5b00000089"},
	{name: "F2", cmd: 0x32, raw: strings.Repeat("00", 38) + "010203", want: "0000000000000080 0000000102030085 0032017300000089"},
	{name: "F3", cmd: CommandWrite1, flags: Flags{0, 0x20, 0}, want: "0000000000000080 0000000020000086 0046c00000000087 0001955600000089"},
	{name: "F4", cmd: CommandWrite1, key: keyA, flags: Flags{0, 0x20, 0x20}, want: "0000000000000080 00e2bee9a3656883 a00d026a02f85e84 61e6fb0000000085 0000000020200086 005a930000000087 0001955600000089"},
	{name: "F5", cmd: CommandWrite1, key: keyA, code: "010203040506", current: "010203040506", flags: Flags{0, 0x20, 0x20}, want: "0000000000000080 00e2bee9a3656883 a00d026a02f85e84 61e6fb0102030485 0506000020200086 000d390102030487 0506000000000088 0001c2fc00000089"},
	{name: "F6", cmd: CommandWrite2, uid: "404142430000", key: key30, flags: Flags{0x04, 0x40, 0x26}, want: "0000000000000080 0000404142430082 0030313233343583 363738393a3b3c84 3d3e3f0000000085 0000000440260086 0098410000000087 0003955600000089"},
	{name: "F7", cmd: CommandWrite2, uid: "404142430000", key: key30, flags: Flags{0, 0x40, 0x22}, want: "0000000000000080 0000404142430082 0030313233343583 363738393a3b3c84 3d3e3f0000000085 0000000040220086 00e90f0000000087 0003955600000089"},
	{name: "F8", cmd: CommandWrite2, uid: "404142430000", key: key30, flags: Flags{0, 0x40, 0}, want: "0000000000000080 0000404142430082 0030313233343583 363738393a3b3c84 3d3e3f0000000085 0000000040000086 006ab90000000087 0003955600000089"},
	{name: "F9", cmd: CommandWrite2, fixed: "010203040506", uid: "404142430000", key: key30, flags: Flags{0, 0x40, 0x42}, want: "0102030405060080 0000404142430082 0030313233343583 363738393a3b3c84 3d3e3f0000000085 0000060040420086 000eec0000000087 0003955600000089"},
	{name: "F10", cmd: CommandWrite2, fixed: "010203040506", uid: "404142430121", key: key30, flags: Flags{0, 0x40, 0x42}, want: "0102030405060080 0000404142430182 2130313233343583 363738393a3b3c84 3d3e3f0000000085 0000060040420086 0003ea0000000087 0003955600000089"},
	{name: "F11", cmd: CommandWrite1, fixed: "ff0000bc614e", uid: "010203040506", key: key0f, flags: Flags{0x34, 0x20, 0}, want: "ff0000bc614e0080 0000010203040582 0600010203040583 060708090a0b0c84 0d0e0f0000000085 0000063420000086 005c520000000087 0001955600000089"},
	{name: "F12", cmd: CommandWrite2, fixed: "8b080f0f122c9a12150f079e00000000", flags: Flags{0x34, 0x20, 0x02}, want: "8b080f0f122c9a80 12150f079e000081 0000103420020086 00dddf0000000087 0003955600000089"},
	{name: "F13", cmd: CommandWrite1, raw: "00", want: "0000000000000080 00016b5b00000089"},
	{name: "F14", cmd: CommandUpdate2, fixed: strings.Repeat("00", 16), flags: Flags{0x34, 0x20, 0}, want: "0000000000000080 0000103420000086 00377b0000000087 0005955600000089"},
	{name: "F15", cmd: CommandWrite1, fixed: strings.Repeat("deadbeef", 4), flags: Flags{0x20, 0x20, 0xa0}, want: "deadbeefdeadbe80 efdeadbeefdead81 beef000000000082 0000102020a00086 002aac0000000087 0001955600000089"},
	{name: "F16", cmd: CommandWrite2, fixed: "4d4d4d4d", key: "523d7ce7e7b6ee853517a3e3cc1985c7", flags: Flags{0, 0x60, 0x70}, current: "aabbccddeeff", want: "4d4d4d4d00000080 00523d7ce7e7b683 ee853517a3e3cc84 1985c70000000085 0000040060700086 0072adaabbccdd87 eeff000000000088 0003fec400000089"},
}

func joinReports(rs []Report) string {
	var out []string
	for _, r := range rs {
		out = append(out, hex.EncodeToString(r[:]))
	}
	return strings.Join(out, " ")
}

func TestFrameVectors(t *testing.T) {
	t.Parallel()
	for _, v := range frameVectors {
		var payload [PayloadLen]byte
		copy(payload[:], unhex(t, v.raw))
		if v.raw == "" {
			c := Config{Fixed: unhex(t, v.fixed), UID: secret.New(unhex(t, v.uid)), Key: secret.New(unhex(t, v.key)), AccessCode: secret.New(unhex(t, v.code)), Flags: v.flags}
			b, err := c.AppendMarshal(nil)
			if err != nil {
				t.Fatalf("%s: %v", v.name, err)
			}
			copy(payload[:], b)
			copy(payload[ConfigLen:], unhex(t, v.current))
			back, err := UnmarshalConfig(b)
			if err != nil {
				t.Fatalf("%s: unmarshal: %v", v.name, err)
			}
			if again, err := back.AppendMarshal(nil); err != nil || !bytes.Equal(again, b) {
				t.Errorf("%s: marshalled again: %v", v.name, err)
			}
		}
		if got := joinReports(Reports(v.cmd, &payload)); got != v.want {
			t.Errorf("%s:\n got %s\nwant %s", v.name, got, v.want)
		}
	}
}

// FuzzReports: the parts put back at their places are the frame.
func FuzzReports(f *testing.F) {
	f.Add(byte(1), []byte{})
	f.Add(byte(3), bytes.Repeat([]byte{7}, PayloadLen))
	f.Add(byte(0), append(make([]byte, 20), 1))
	f.Fuzz(func(t *testing.T, cmd byte, b []byte) {
		var payload [PayloadLen]byte
		copy(payload[:], b)
		var frame [frameLen]byte
		last := -1
		for _, r := range Reports(Command(cmd), &payload) {
			n := int(r[offFlag] & maskPart)
			if r[offFlag]&^maskPart != flagWrite || n <= last {
				t.Fatalf("flag %02x after part %d", r[offFlag], last)
			}
			last = n
			copy(frame[n*partLen:], r[:partLen])
		}
		if last != lastPart || !bytes.Equal(frame[:PayloadLen], payload[:]) || frame[PayloadLen] != cmd {
			t.Fatal("frame differs")
		}
	})
}

// FuzzConfig: what unmarshals gives the same bytes again.
func FuzzConfig(f *testing.F) {
	for _, v := range frameVectors {
		c := Config{Fixed: unhex(f, v.fixed), UID: secret.New(unhex(f, v.uid)), Key: secret.New(unhex(f, v.key)), Flags: v.flags}
		b, _ := c.AppendMarshal(nil)
		f.Add(b)
	}
	f.Add(make([]byte, ConfigLen))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = append([]byte(nil), b...)
		if len(b) == ConfigLen { // the CRC is not for the fuzzer to find
			crc := ^crc16(b[:offCRC])
			b[offCRC], b[offCRC+1] = byte(crc), byte(crc>>8)
		}
		c, err := UnmarshalConfig(b)
		if err != nil {
			if c.Fixed != nil || c.Key.Len() != 0 {
				t.Fatal("result beside an error")
			}
			return
		}
		_ = c.Validate()
		_ = c.Flags.String()
		if again, err := c.AppendMarshal(nil); err != nil || !bytes.Equal(again, b) {
			t.Fatal("marshalling again differs")
		}
	})
}
