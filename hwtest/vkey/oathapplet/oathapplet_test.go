package oathapplet_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
)

// rig is a key with an OATH application, whose commands are written in hexadecimal.
type rig struct {
	t    *testing.T
	key  *vkey.Key
	oath *oathapplet.Applet
}

func newRig(t *testing.T, p vkey.Profile) *rig {
	t.Helper()
	k := vkey.New(p, vkey.Options{Serial: 7654321})
	r := &rig{t, k, oathapplet.Install(k, oathapplet.Options{})}
	t.Cleanup(k.Unplug)
	return r
}

// says sends commands, one a word, and returns the last answer.
func (r *rig) says(commands string) string {
	r.t.Helper()
	var got []byte
	for _, c := range strings.Fields(commands) {
		var err error
		if got, err = r.key.Card().Transmit(unhex(r.t, c)); err != nil {
			r.t.Fatalf("%s: %v", c, err)
		}
	}
	return hex.EncodeToString(got)
}

// field is tag ‖ length ‖ value in hexadecimal; so is the value.
func field(tag byte, value string) string { return fmt.Sprintf("%02x%02x%s", tag, len(value)/2, value) }

func name(s string) string { return field(0x71, hex.EncodeToString([]byte(s))) }

// command is INS P1 P2 with data.
func command(head string, fields ...string) string {
	data := strings.Join(fields, "")
	return fmt.Sprintf("00%s%02x%s", head, len(data)/2, data)
}

// put is PUT of a key of that many bytes; more comes after the key.
func put(who, kind string, digits, keyLen int, more ...string) string {
	key := strings.Repeat("31323334353637383930", 7)[:2*keyLen]
	return command("010000", append([]string{name(who), field(0x73, fmt.Sprintf("%s%02x%s", kind, digits, key))}, more...)...)
}

const (
	selectOATH = "00a4040007a0000005272101"
	selectMgmt = "00a4040008a000000527471117"
	list       = "00a10000"
	reset      = "0004dead"
	zeros      = "0000000000000000"
	ok         = "9000"
)

func calculate(who string) string { return command("a20001", name(who), "7408"+zeros) }
func remove(who string) string    { return command("020000", name(who)) }

// TestCommands has what each firmware says: the beginning of the answer to the last command.
func TestCommands(t *testing.T) {
	t.Parallel()
	fips := vkey.YubiKey435
	fips.FormFactor |= 0x80
	at := func(major, minor, build byte) vkey.Profile {
		return vkey.YubiKey435.At(vkey.Version{Major: major, Minor: minor, Build: build})
	}
	long := strings.Repeat("x", 64)
	for _, v := range []struct {
		name     string
		profile  vkey.Profile
		commands string
		want     string
	}{
		{"nothing selected", vkey.YubiKey543, list, "6d00"},
		{"empty list", vkey.YubiKey543, list, ok},
		{"unknown instruction", vkey.YubiKey543, "00060000", "6d00"},
		{"nothing remains", vkey.YubiKey543, "00a50000", "6d00"},
		{"P1", vkey.YubiKey543, "00a10100", "6b00"},
		{"P2 of LIST", vkey.YubiKey543, "00a10001", "6b00"},
		{"RESET without DEAD", vkey.YubiKey543, "00040000", "6b00"},
		{"name of 64", vkey.YubiKey543, put(long, "21", 6, 20), ok},
		{"name of 65", vkey.YubiKey543, put(long+"x", "21", 6, 20), "6a80"},
		{"no name", vkey.YubiKey543, put("", "21", 6, 20), "6a80"},
		{"key of 13", vkey.YubiKey543, put("a", "21", 6, 13), "6a80"},
		{"key of 14", vkey.YubiKey543, put("a", "21", 6, 14), ok},
		{"key of 64", vkey.YubiKey543, put("a", "21", 6, 64), ok},
		{"key of 65", vkey.YubiKey543, put("a", "23", 6, 65), "6a80"},
		{"5 digits", vkey.YubiKey543, put("a", "21", 5, 20), "6a80"},
		{"9 digits", vkey.YubiKey543, put("a", "21", 9, 20), "6a80"},
		{"no kind", vkey.YubiKey543, put("a", "31", 6, 20), "6a80"},
		{"no hash", vkey.YubiKey543, put("a", "24", 6, 20), "6a80"},
		{"SHA-512", at(4, 3, 1), put("a", "23", 6, 20), ok},
		{"SHA-512 before 4.3.1", at(4, 3, 0), put("a", "23", 6, 20), "6a80"},
		{"SHA-512 on a 4 FIPS", fips, put("a", "23", 6, 20), "6a80"},
		{"SHA-512 on a NEO", vkey.YubiKeyNEO, put("a", "23", 6, 20), "6a80"},
		{"property and IMF", vkey.YubiKey543, put("a", "11", 6, 20, "7802", "7a0400000007"), ok},
		{"IMF and property", vkey.YubiKey543, put("a", "11", 6, 20, "7a0400000007", "7802"), ok},
		{"property with a length", vkey.YubiKey543, put("a", "11", 6, 20, "780102"), "6a80"},
		{"IMF of 3 bytes", vkey.YubiKey543, put("a", "11", 6, 20, "7a03000007"), "6a80"},
		{"more after it", vkey.YubiKey543, put("a", "11", 6, 20, "7900"), "6a80"},
		{"CALCULATE of nobody", vkey.YubiKey543, calculate("a"), "6984"},
		{"DELETE of nobody", vkey.YubiKey543, remove("a"), "6984"},
		{"RENAME of nobody", vkey.YubiKey543, command("050000", name("a"), name("b")), "6984"},
		{"RENAME", vkey.YubiKey543, put("a", "21", 6, 20) + " " + command("050000", name("a"), name("b")) + " " + list, "72" + "02" + "21" + "62" + ok},
		{"RENAME to one that is there", vkey.YubiKey543, put("a", "21", 6, 20) + " " + put("b", "21", 6, 20) + " " + command("050000", name("a"), name("b")), "6a80"},
		{"RENAME before 5.3.1", vkey.YubiKey527, command("050000", name("a"), name("b")), "6d00"},
		{"VALIDATE without code", vkey.YubiKey543, command("a30000", "7514"+strings.Repeat("00", 20), "7408"+zeros), "6984"},
		{"HOTP without challenge", vkey.YubiKey543, put("a", "11", 6, 20) + " " + command("a20001", name("a"), "7400"), "7605" + "06" + "000b8618" + ok},
		{"of 31 bits on a NEO", vkey.YubiKeyNEO, put("a", "11", 6, 20) + " " + calculate("a"), "7605" + "06" + "4c93cf18" + ok},
		{"version of a NEO's", vkey.YubiKeyNEO, selectOATH, "7903010001" + "7108"},
		{"touch is ignored before 4.2.4", at(4, 2, 3), put("a", "11", 6, 20, "7802") + " " + calculate("a"), "7605" + "06" + "000b8618" + ok},
		{"challenges that grow", vkey.YubiKey543, put("a", "21", 6, 20, "7801") + " " + command("a20001", name("a"), "74080000000000000002") + " " + calculate("a"), "6982"},
		{"GET RESPONSE is no way to the rest", vkey.YubiKey543, put("a", "21", 6, 20) + " 00a1000003 00c0000000", "6d00"},
		{"SEND REMAINING is", vkey.YubiKey543, put("a", "21", 6, 20) + " 00a1000003 00a5000000", "61" + ok},
		{"a failed SELECT changes nothing", vkey.YubiKey543, "00a4040005a000000999 " + list, ok},
		{"another applet", vkey.YubiKey543, selectMgmt + " " + list, "6d00"},
		{"no OATH over USB", vkey.YubiKey543.WithPID(0x0403), "", ""},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, v.profile)
			if v.want == "" {
				if _, err := r.key.Card().Transmit(unhex(t, selectOATH)); err == nil {
					t.Error("a card without interface answers")
				}
				return
			}
			first := selectOATH + " "
			if v.name == "nothing selected" {
				first = ""
			}
			if got := r.says(first + v.commands); !strings.HasPrefix(got, v.want) {
				t.Errorf("got %s, want %s", got, v.want)
			}
		})
	}
}

// TestSwitchedOff: device info takes the application away, and gives it back with all it has.
func TestSwitchedOff(t *testing.T) {
	t.Parallel()
	r := newRig(t, vkey.YubiKey543)
	r.says(selectOATH + " " + put("a", "21", 6, 20))
	for _, v := range []struct{ mask, want string }{{"021f", "6a82"}, {"023f", ok}} {
		if !r.key.WriteDeviceInfo(unhex(t, "06"+"0302"+v.mask+"0c00")) {
			t.Fatal("refused")
		}
		r.key.Settle()
		if got := r.says(selectOATH); !strings.HasSuffix(got, v.want) {
			t.Errorf("%s: %s", v.mask, got)
		}
	}
	if got := r.says(list); got != "72022161"+ok {
		t.Errorf("after it is back: %s", got)
	}
}

// TestCapacity: the next account finds no room, one that is there is overwritten, and one that leaves makes room. A long
// list comes in parts; a NEO fails where an answer does not fit its buffer.
func TestCapacity(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		profile  vkey.Profile
		capacity int
		full     string
	}{{vkey.YubiKeyNEO, 28, "6f00"}, {vkey.YubiKey435, 32, "6a84"}, {vkey.YubiKey543, 32, "6a84"}, {vkey.YubiKey571, 64, "6a84"}} {
		r := newRig(t, v.profile)
		r.says(selectOATH)
		long := func(n int) string { return fmt.Sprintf("%064d", n) }
		for n := range v.capacity {
			if got := r.says(put(long(n), "22", 8, 32)); got != ok {
				t.Fatalf("%v: account %d: %s", v.profile.Version, n+1, got)
			}
		}
		if got := r.says(put("more", "21", 6, 20)); got != v.full {
			t.Errorf("%v: one more: %s", v.profile.Version, got)
		}
		if got := r.says(put(long(3), "21", 6, 20) + " " + remove(long(0)) + " " + put("more", "21", 6, 20)); got != ok {
			t.Errorf("%v: room again: %s", v.profile.Version, got)
		}
		if got, want := r.all(list), 67*(v.capacity-1)+3+4; len(got)/2 != want {
			t.Errorf("%v: list of %d bytes, want %d", v.profile.Version, len(got)/2, want)
		}
		short, full := r.all(command("a40001", "7408"+zeros)), r.all(command("a40000", "7408"+zeros))
		if strings.Count(short, "760508") != v.capacity-2 || v.capacity == 28 != (full == "6f00") {
			t.Errorf("%v: CALCULATE ALL: %d and %d bytes", v.profile.Version, len(short)/2, len(full)/2)
		}
	}
}

// all is an answer with all its parts.
func (r *rig) all(c string) (data string) {
	r.t.Helper()
	for range 64 {
		part := r.says(c)
		body, sw := part[:len(part)-4], part[len(part)-4:]
		data += body
		if sw[:2] != "61" {
			if sw != ok {
				return sw
			}
			return data
		}
		c = "00a5000000"
	}
	r.t.Fatal("no end")
	return ""
}

// TestPrefix: between 4.0.0 and 4.3.5 a name that nobody has stands for one that begins with it.
func TestPrefix(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		version vkey.Version
		want    []string
	}{
		{vkey.Version{Major: 4}, []string{"abc", "ab"}},
		{vkey.Version{Major: 4, Build: 1}, []string{"ab"}},
		{vkey.Version{Major: 4, Minor: 3, Build: 4}, []string{"ab"}},
		{vkey.Version{Major: 4, Minor: 3, Build: 5}, []string{"abc", "ab"}},
		{vkey.Version{Major: 5, Minor: 4, Build: 3}, []string{"abc", "ab"}},
	} {
		r := newRig(t, vkey.YubiKey543.At(v.version))
		if got := r.says(selectOATH + " " + put("abc", "21", 6, 20) + " " + put("ab", "21", 6, 14)); got != ok {
			t.Fatal(got)
		}
		var names []string
		for _, n := range r.oath.Accounts() {
			names = append(names, n.Name)
		}
		if !slices.Equal(names, v.want) {
			t.Errorf("%v: %q, want %q", v.version, names, v.want)
		}
	}
}

// TestCounter16: a NEO counts 16 bits beyond the initial factor.
func TestCounter16(t *testing.T) {
	t.Parallel()
	r := newRig(t, vkey.YubiKeyNEO)
	r.says(selectOATH + " " + put("a", "11", 6, 20, "7a0400000005"))
	first := r.says(calculate("a"))
	for range 1<<16 - 1 {
		r.says(calculate("a"))
	}
	if got := r.says(calculate("a")); got != first || r.oath.Accounts()[0].NextFactor != 6 {
		t.Errorf("after 65536 codes: %s, want %s", got, first)
	}
}

// TestRFC: RFC 4226 appendix D, and RFC 6238 appendix B by HMAC's three hashes, through the card.
func TestRFC(t *testing.T) {
	t.Parallel()
	r := newRig(t, vkey.YubiKey571)
	r.says(selectOATH + " " + put("h", "11", 6, 20) + " " + put("1", "21", 8, 20) + " " + put("256", "22", 8, 32) + " " + put("512", "23", 8, 64))
	code := func(who string, challenge uint64) uint32 {
		got := unhex(t, r.says(command("a20001", name(who), fmt.Sprintf("7408%016x", challenge))))
		return binary.BigEndian.Uint32(got[3:])
	}
	for n, want := range []uint32{755224, 287082, 359152, 969429, 338314, 254676, 287922, 162583, 399871, 520489} {
		if got := code("h", 0); got != want {
			t.Errorf("HOTP %d: %06d, want %06d", n, got, want)
		}
	}
	for _, v := range []struct {
		time uint64
		want [3]uint32
	}{
		{59, [3]uint32{94287082, 46119246, 90693936}},
		{1111111109, [3]uint32{7081804, 68084774, 25091201}},
		{1111111111, [3]uint32{14050471, 67062674, 99943326}},
		{1234567890, [3]uint32{89005924, 91819424, 93441116}},
		{2000000000, [3]uint32{69279037, 90698825, 38618901}},
		{20000000000, [3]uint32{65353130, 77737706, 47863826}},
	} {
		for i, who := range []string{"1", "256", "512"} {
			if got := code(who, v.time/30); got != v.want[i] {
				t.Errorf("TOTP %s at %d: %08d, want %08d", who, v.time, got, v.want[i])
			}
		}
	}
	if !r.oath.Holds("1", []byte("12345678901234567890")) || r.oath.Holds("1", []byte("12345678901234567891")) || r.oath.Holds("2", nil) {
		t.Error("Holds")
	}
}

func sha1HMAC(key, message string) string {
	h := hmac.New(sha1.New, []byte(key))
	h.Write([]byte(message))
	return hex.EncodeToString(h.Sum(nil))
}
