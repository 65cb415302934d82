package pivapplet_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
)

// card is a key whose card draws nothing but zeros, so that a proof of the management key is always the same.
func card(p vkey.Profile, o pivapplet.Options) (*vkey.Key, *pivapplet.Applet) {
	o.Rand = strings.NewReader("")
	if o.NewKey == nil {
		o.NewKey = pool()
	}
	k := vkey.New(p, vkey.Options{Serial: 7654321})
	return k, pivapplet.Install(k, o)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// says sends commands given in hexadecimal, one a word, and returns the last answer in hexadecimal.
func says(t testing.TB, k *vkey.Key, apdus string) string {
	t.Helper()
	var got []byte
	for _, a := range strings.Fields(apdus) {
		var err error
		if got, err = k.Card().Transmit(unhex(t, a)); err != nil {
			t.Fatalf("%s: %v", a, err)
		}
	}
	return hex.EncodeToString(got)
}

// Commands that others are made of.
const (
	choose   = "00a4040005a000000308 "
	rightPIN = "0020008008313233343536ffff "
	wrongPIN = "0020008008303030303030ffff "
	askPIN   = "00200080 "
	newPIN   = "0024008010313233343536ffff323731383238ffff "
	newPUK   = "002400811031323334353637383331343135393236 "
	badPUK   = "002c0080103030303030303030323731383238ffff "
	unblock  = "002c0080103132333435363738323731383238ffff "
	resetAll = "00fb0000 "

	tries3DES = "0087039b047c028000 0087039b167c148008000000000000000081080000000000000000 "
	triesAES  = "00870a9b047c028000 00870a9b267c248010000000000000000000000000000000008110" + "00000000000000000000000000000000 "
	singleDES = "0087039b047c028100 0087039b0c7c0a8208b073dc3fb209536d "
)

// withData is a command with data in hexadecimal, in the extended form where it needs that.
func withData(head, data string) string {
	if n := len(data) / 2; n > 255 {
		return fmt.Sprintf("%s00%04x%s ", head, n, data)
	}
	return fmt.Sprintf("%s%02x%s ", head, len(data)/2, data)
}

func put(object, data string) string {
	n := len(data) / 2
	length := fmt.Sprintf("%02x", n)
	switch {
	case n > 255:
		length = fmt.Sprintf("82%04x", n)
	case n > 127:
		length = fmt.Sprintf("81%02x", n)
	}
	return withData("00db3fff", fmt.Sprintf("5c%02x%s53%s%s", len(object)/2, object, length, data))
}

func read(object string) string {
	return withData("00cb3fff", fmt.Sprintf("5c%02x%s", len(object)/2, object))
}

// TestReferences has what the card says about PIN and PUK.
func TestReferences(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name  string
		apdus string
		want  string
	}{
		{"SELECT", choose, "61114f0600001000010079074f05a000000308" + "9000"},
		{"not verified", choose + askPIN, "63c3"},
		{"verify", choose + rightPIN, "9000"},
		{"verified", choose + rightPIN + askPIN, "9000"},
		{"log out", choose + rightPIN + "0020ff80 " + askPIN, "63c3"},
		{"SELECT forgets", choose + rightPIN + choose + askPIN, "63c3"},
		{"another application forgets", choose + rightPIN + "00a4040008a000000527471117 " + choose + askPIN, "63c3"},
		{"wrong", choose + wrongPIN, "63c2"},
		{"wrong ends verified", choose + rightPIN + wrongPIN + askPIN, "63c2"},
		{"right gives back", choose + wrongPIN + wrongPIN + rightPIN + wrongPIN, "63c2"},
		{"third", choose + wrongPIN + wrongPIN + wrongPIN, "63c0"},
		{"blocked", choose + wrongPIN + wrongPIN + wrongPIN + rightPIN, "6983"},
		{"blocked, asked", choose + wrongPIN + wrongPIN + wrongPIN + askPIN, "6983"},
		{"short costs nothing", choose + "0020008006303030303030 " + askPIN, "63c3"},
		{"short", choose + "0020008006303030303030", "6a80"},
		{"the global PIN", choose + "0020000008303030303030ffff", "6a88"},
		{"biometrics", choose + "00200096020300", "6a88"},
		{"change", choose + newPIN, "9000"},
		{"changed is not verified", choose + newPIN + askPIN, "63c3"},
		{"changed, no longer verified", choose + rightPIN + newPIN + askPIN, "63c3"},
		{"changed, the old one", choose + newPIN + rightPIN, "63c2"},
		{"change by a wrong one", choose + "0024008010303030303030ffff323731383238ffff", "63c2"},
		{"to one of 5", choose + "0024008010313233343536ffff3237313832ffffff", "6a80"},
		{"to one of 5 by a wrong one", choose + "0024008010303030303030ffff3237313832ffffff", "63c2"},
		{"to one with a hole", choose + "0024008010313233343536ffff3237ff31383238ff", "6a80"},
		{"change the PUK", choose + newPUK, "9000"},
		{"changed PUK, the old one", choose + newPUK + unblock, "63c2"},
		{"change of neither", choose + "0024009b10313233343536ffff323731383238ffff", "6a88"},
		{"unblock", choose + wrongPIN + wrongPIN + wrongPIN + unblock + askPIN, "63c3"},
		{"unblock by a wrong one", choose + badPUK, "63c2"},
		{"PUK blocked", choose + badPUK + badPUK + badPUK + unblock, "6983"},
		{"reset", choose + resetAll, "6985"},
		{"reset with the PUK left", choose + wrongPIN + wrongPIN + wrongPIN + resetAll, "6985"},
		{"reset when blocked", choose + wrongPIN + wrongPIN + wrongPIN + badPUK + badPUK + badPUK + resetAll + askPIN, "63c3"},
		{"retries unproven", choose + "00fa0506", "6982"},
		{"retries without PIN", choose + tries3DES + "00fa0506", "6982"},
		{"retries without key", choose + rightPIN + "00fa0506", "6982"},
		{"retries", choose + tries3DES + rightPIN + "00fa0506 " + askPIN, "63c5"},
		{"retries put the PIN back", choose + newPIN + tries3DES + "0020008008323731383238ffff 00fa0506 " + rightPIN, "9000"},
		{"many retries", choose + tries3DES + rightPIN + "00faff01 " + askPIN, "63cf"},
		{"no retries", choose + tries3DES + rightPIN + "00fa0001", "6a86"},
		{"version", choose + "00fd0000", "050403" + "9000"},
		{"serial", choose + "00f80000", "0074cbb1" + "9000"},
		{"unknown", choose + "00550000", "6d00"},
		{"metadata of the PIN", choose + wrongPIN + "00f70080", "0101ff" + "050101" + "06020302" + "9000"},
		{"metadata of the PUK", choose + newPUK + "00f70081", "0101ff" + "050100" + "06020303" + "9000"},
		{"metadata of the key", choose + "00f7009b", "010103" + "02020001" + "050101" + "9000"},
		{"metadata of nothing", choose + "00f7009a", "6a88"},
		{"metadata of no slot", choose + "00f70042", "6a86"},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			k, _ := card(vkey.YubiKey543, pivapplet.Options{})
			if got := says(t, k, v.apdus); got != v.want {
				t.Errorf("got %s, want %s", got, v.want)
			}
		})
	}
}

const (
	make9A   = "0047009a05ac03800111 "
	make9C   = "0047009c05ac03800111 "
	digest   = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	sign9A   = "0087119a267c2482008120" + digest + " "
	sign9C   = "0087119c267c2482008120" + digest + " "
	aesKey16 = "00ffffff13089b1000112233445566778899aabbccddeeff "
)

// status is the status word of an answer.
func status(answer string) string { return answer[len(answer)-4:] }

// table has commands and the status word of the last.
type table []struct {
	name    string
	profile vkey.Profile
	apdus   string
	want    string
}

func (all table) run(t *testing.T) {
	for _, v := range all {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			k, _ := card(v.profile, pivapplet.Options{})
			if got := status(says(t, k, v.apdus)); got[:2] != "61" && got != v.want || got[:2] == "61" && v.want != "9000" {
				t.Errorf("got %s, want %s", got, v.want)
			}
		})
	}
}

// TestManagement has what proves the management key, what it opens, and how it is set.
func TestManagement(t *testing.T) {
	t.Parallel()
	table{
		{"witness", vkey.YubiKey543, choose + "0087039b047c028000", "9000"},
		{"mutual", vkey.YubiKey543, choose + tries3DES, "9000"},
		{"by the name 00", vkey.YubiKey543, choose + strings.ReplaceAll(tries3DES, "0087039b", "0087009b"), "9000"},
		{"AES of the factory", vkey.YubiKey571, choose + triesAES, "9000"},
		{"3DES is not AES", vkey.YubiKey571, choose + tries3DES, "6a86"},
		{"wrong witness", vkey.YubiKey543, choose + strings.Replace(tries3DES, "8008000000", "8008010000", 1), "6982"},
		{"proof twice", vkey.YubiKey543, choose + tries3DES + strings.Fields(tries3DES)[1], "6982"},
		{"proof unasked", vkey.YubiKey543, choose + strings.Fields(tries3DES)[1], "6982"},
		{"proof of another kind", vkey.YubiKey543, choose + strings.Fields(singleDES)[0] + " " + strings.Fields(tries3DES)[1], "6982"},
		{"single", vkey.YubiKey543, choose + singleDES + make9A, "9000"},
		{"single, wrong", vkey.YubiKey543, choose + strings.Replace(singleDES, "536d", "536c", 1), "6982"},
		{"single, by the witness", vkey.YubiKey543, choose + strings.Fields(tries3DES)[0] + " " + strings.Fields(singleDES)[1], "6982"},
		{"single, unasked", vkey.YubiKey543, choose + strings.Fields(singleDES)[1], "6982"},
		{"single without asking, of zeros", vkey.YubiKey543, choose + "0087039b0c7c0a82080000000000000000", "6982"},
		{"a failure ends what was proven", vkey.YubiKey543, choose + tries3DES + strings.Fields(tries3DES)[1] + " " + make9A, "6982"},
		{"generate unproven", vkey.YubiKey543, choose + rightPIN + make9A, "6982"},
		{"put unproven", vkey.YubiKey543, choose + rightPIN + put("5fc102", "00"), "6982"},
		{"import unproven", vkey.YubiKey543, choose + "00fe119a220620" + digest, "6982"},
		{"set unproven", vkey.YubiKey543, choose + aesKey16, "6982"},
		{"move unproven", vkey.YubiKey571, choose + "00f6ff9a", "6982"},
		{"set AES", vkey.YubiKey543, choose + tries3DES + aesKey16 + "00f7009b", "9000"},
		{"the old one", vkey.YubiKey543, choose + tries3DES + aesKey16 + choose + tries3DES, "6a86"},
		{"set AES on 5.3", vkey.YubiKey543.At(vkey.Version{Major: 5, Minor: 3}), choose + tries3DES + aesKey16, "6a80"},
		{"set a wrong length", vkey.YubiKey543, choose + tries3DES + "00ffffff120a9b0f00112233445566778899aabbccddee", "6a80"},
		{"set another slot", vkey.YubiKey543, choose + tries3DES + strings.Replace(aesKey16, "9b10", "9a10", 1), "6a80"},
		{"PIN of 5 characters in 6 bytes", vkey.YubiKey571, choose + "0024008010313233343536ffff31323334c3a4ffff", "6a80"},
		{"PIN of 6 characters in 7 bytes", vkey.YubiKey571, choose + "0024008010313233343536ffff3132333435c3a4ff", "9000"},
		{"PIN of 6 bytes on 5.4", vkey.YubiKey543, choose + "0024008010313233343536ffff31323334c3a4ffff", "9000"},
		{"PUK that is not ASCII", vkey.YubiKey571, choose + "00240081103132333435363738313233343536c3a4", "6a80"},
		{"PUK that is not ASCII on 5.4", vkey.YubiKey543, choose + "00240081103132333435363738313233343536c3a4", "9000"},
		{"cached touch as a policy", vkey.YubiKey543, choose + tries3DES + strings.Replace(aesKey16, "ffffff", "fffffd", 1) + "00f7009b", "9000"},
		{"no touch as a policy", vkey.YubiKey543, choose + tries3DES + strings.Replace(aesKey16, "ffffff", "fffffc", 1), "6a86"},
		{"touch as a policy", vkey.YubiKey543, choose + tries3DES + strings.Replace(aesKey16, "ffffff", "fffffe", 1) + "00f7009b", "9000"},
	}.run(t)
}

// TestKeys has what makes, uses, attests and moves keys.
func TestKeys(t *testing.T) {
	t.Parallel()
	table{
		{"generate", vkey.YubiKey543, choose + tries3DES + make9A, "9000"},
		{"generate in no slot", vkey.YubiKey543, choose + tries3DES + "0047004205ac03800111", "6a86"},
		{"generate Ed25519 on 5.4", vkey.YubiKey543, choose + tries3DES + "0047009a05ac038001e0", "6a80"},
		{"generate Ed25519", vkey.YubiKey571, choose + triesAES + "0047009a05ac038001e0", "9000"},
		{"generate P-384 on a NEO", vkey.YubiKeyNEO, choose + tries3DES + "0047009a05ac03800114", "6a80"},
		{"retired on a NEO", vkey.YubiKeyNEO, choose + tries3DES + "0047008205ac03800111", "6a86"},
		{"policy of 4", vkey.YubiKey543, choose + tries3DES + "0047009a08ac06800111aa0104", "6a80"},
		{"cached touch on 4.2", vkey.YubiKey435.At(vkey.Version{Major: 4, Minor: 2, Build: 8}), choose + tries3DES + "0047009a08ac06800111ab0103", "6a80"},
		{"sign without PIN", vkey.YubiKey543, choose + tries3DES + make9A + sign9A, "6982"},
		{"sign", vkey.YubiKey543, choose + tries3DES + make9A + rightPIN + sign9A + sign9A, "9000"},
		{"sign always, not just verified", vkey.YubiKey543, choose + tries3DES + make9C + rightPIN + "00fd0000 " + sign9C, "6982"},
		{"sign always, once", vkey.YubiKey543, choose + tries3DES + make9C + rightPIN + sign9C, "9000"},
		{"sign always, twice", vkey.YubiKey543, choose + tries3DES + make9C + rightPIN + sign9C + sign9C, "6982"},
		{"sign by card authentication", vkey.YubiKey543, choose + tries3DES + "0047009e05ac03800111 " + strings.Replace(sign9A, "119a", "119e", 1), "9000"},
		{"sign by nothing", vkey.YubiKey543, choose + rightPIN + sign9A, "6a80"},
		{"sign by another algorithm", vkey.YubiKey543, choose + tries3DES + make9A + rightPIN + strings.Replace(sign9A, "119a", "149a", 1), "6a80"},
		{"sign too much", vkey.YubiKey543, choose + tries3DES + make9A + rightPIN + withData("0087119a", "7c2582008121"+digest+"00"), "6a80"},
		{"sign less than the modulus", vkey.YubiKey543, choose + tries3DES + "0047009a05ac03800106 " + rightPIN + strings.Replace(sign9A, "119a", "069a", 1), "6a80"},
		{"agree on no point", vkey.YubiKey543, choose + tries3DES + make9A + rightPIN + withData("0087119a", "7c2482008520"+digest), "6a80"},
		{"use of the attestation key", vkey.YubiKey543, choose + rightPIN + strings.Replace(sign9A, "119a", "11f9", 1), "6a86"},
		{"attest nothing", vkey.YubiKey543, choose + "00f99a00", "6a80"},
		{"attest itself", vkey.YubiKey543, choose + "00f9f900", "6a86"},
		{"attest", vkey.YubiKey543, choose + tries3DES + make9A + "00f99a0000", "9000"},
		{"attest on a NEO", vkey.YubiKeyNEO, choose + "00f99a00", "6d00"},
		{"import and attest", vkey.YubiKey543, choose + tries3DES + "00fe119a220620" + digest + " 00f99a00", "6a80"},
		{"import a zero", vkey.YubiKey543, choose + tries3DES + "00fe119a220620" + strings.Repeat("00", 32), "6a80"},
		{"move on 5.4", vkey.YubiKey543, choose + tries3DES + make9A + "00f6829a", "6d00"},
		{"move", vkey.YubiKey571, choose + triesAES + make9A + "00f6829a 00f70082", "9000"},
		{"moved away", vkey.YubiKey571, choose + triesAES + make9A + "00f6829a 00f7009a", "6a88"},
		{"move nothing", vkey.YubiKey571, choose + triesAES + "00f6829a", "6a88"},
		{"move where something is", vkey.YubiKey571, choose + triesAES + make9A + make9C + "00f69c9a", "6985"},
		{"move the attestation key", vkey.YubiKey571, choose + triesAES + "00f682f9", "6a86"},
		{"delete", vkey.YubiKey571, choose + triesAES + make9A + "00f6ff9a 00f7009a", "6a88"},
		{"metadata on 5.2", vkey.YubiKey527, choose + "00f70080", "6d00"},
		{"serial on 4", vkey.YubiKey435, choose + "00f80000", "6d00"},
	}.run(t)
}

// TestObjects has what comes back of what was put.
func TestObjects(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("5a", 3063)
	for _, v := range []struct {
		name    string
		profile vkey.Profile
		apdus   string
		want    string
	}{
		{"nothing", vkey.YubiKey543, read("5fc102"), "6a82"},
		{"put", vkey.YubiKey543, put("5fc102", "3000") + read("5fc102"), "53023000" + "9000"},
		{"replaced", vkey.YubiKey543, put("5fc102", "3000") + put("5fc102", "31") + read("5fc102"), "530131" + "9000"},
		{"deleted", vkey.YubiKey543, put("5fc102", "3000") + put("5fc102", "") + read("5fc102"), "6a82"},
		{"kept over SELECT", vkey.YubiKey543, put("5fc102", "3000") + choose + read("5fc102"), "53023000" + "9000"},
		{"guarded by the PIN", vkey.YubiKey543, put("5fc109", "88") + read("5fc109"), "6982"},
		{"read with the PIN", vkey.YubiKey543, put("5fc109", "88") + rightPIN + read("5fc109"), "530188" + "9000"},
		{"discovery", vkey.YubiKey543, read("7e"), "7e124f0ba0000003080000100001005f2f024000" + "9000"},
		{"put discovery", vkey.YubiKey543, put("7e", "00"), "6a80"},
		{"of Yubico", vkey.YubiKey543, put("5fff00", "80") + read("5fff00"), "530180" + "9000"},
		{"of nobody", vkey.YubiKey543, put("5fc17f", "80"), "6a80"},
		{"longest", vkey.YubiKey543, put("5fc102", long), "9000"},
		{"longest, read", vkey.YubiKey543, put("5fc102", long) + "00cb3fff0000055c035fc1020000", "53820bf7" + long + "9000"},
		{"too long", vkey.YubiKey543, put("5fc102", long+"5a"), "6a84"},
		{"too long for a NEO", vkey.YubiKeyNEO, put("5fc102", long[:2*2049]), "6a84"},
		{"no tag", vkey.YubiKey543, withData("00cb3fff", "5d035fc102"), "6a80"},
		{"no data", vkey.YubiKey543, withData("00db3fff", "5c035fc102"), "6a80"},
		{"torn", vkey.YubiKey543, withData("00db3fff", "5c035fc1025303aa"), "6a80"},
		{"torn length", vkey.YubiKey543, withData("00cb3fff", "5c82ff"), "6a80"},
		{"metadata of the management key on 5.3", vkey.YubiKey543.At(vkey.Version{Major: 5, Minor: 3}), "00f7009b", "02020001" + "050101" + "9000"},
		{"elsewhere", vkey.YubiKey543, withData("00cb3f00", "5c035fc102"), "6a86"},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			k, _ := card(v.profile, pivapplet.Options{})
			if got := says(t, k, choose+tries3DES+v.apdus); got != v.want {
				t.Errorf("got %.80s, want %.80s", got, v.want)
			}
		})
	}
}

// TestFull: all objects together have 51200 bytes.
func TestFull(t *testing.T) {
	t.Parallel()
	k, _ := card(vkey.YubiKey543, pivapplet.Options{})
	says(t, k, choose+tries3DES)
	long := strings.Repeat("5a", 3000)
	for n := range 16 {
		if got := says(t, k, put(fmt.Sprintf("5fc1%02x", n+1), long)); got != "9000" {
			t.Fatalf("%d: %s", n, got)
		}
	}
	if got := says(t, k, put("5fc120", long)); got != "6a84" {
		t.Errorf("got %s, want 6a84", got)
	}
	if got := says(t, k, put("5fc101", long)); got != "9000" {
		t.Errorf("replaced: got %s", got)
	}
}
