// Package sample holds what the tests of all formats share: the public test tokens of reference key-files.md §2, whose keys are
// cut from SHA-256 of a label and nobody's; the laws of a codec, on records (AssertLaws) and on files (Fuzz); damaged and hostile
// files (AssertHostile).
package sample

import (
	"encoding/hex"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// The secrets as the files show them.
const (
	Key1       = "688a3c8423bd5e0811602fe6977ff4f2"
	PrivateID1 = "5c45bd4baca5"
	Key2       = "deba785e2f83f2cb8c428744e2e36087"
	PrivateID2 = "e175d72cd304"
	Access2    = "031b554b18a7"
	SeedAlice  = "c8c48c1e49cbbb35517e4f414f26579f8085d955"
	SeedBob    = "0e69d3441e304c01726e2a31445457dc57d0b18e"
	SeedCarol  = "124f79a81d17d4ff235c3e1839e21312501bb968"
	SeedDave   = "9f8813299a5f7c701da72192a5ba61e4779b2915dc1708c8d9dd40df53e794f9"
)

// Hex makes a secret of hexadecimal text; it panics on other text.
func Hex(s string) secret.Bytes {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic("sample: not hexadecimal")
	}
	return secret.New(b)
}

// Modhex makes a public ID; it panics on other text.
func Modhex(s string) token.PublicID {
	p, err := token.ParsePublicID(s)
	if err != nil {
		panic("sample: not ModHex")
	}
	return p
}

// First is slot 1 of device 10200301, without access code.
func First() keyfile.Record {
	return keyfile.Record{Kind: token.YubicoOTP, Serial: 10200301, Slot: 1, PublicID: Modhex("vvccccknlfut"),
		PrivateID: Hex(PrivateID1), Key: Hex(Key1), Created: time.Date(2026, 3, 1, 10, 0, 1, 0, time.UTC)}
}

// Second is slot 2 of device 10200302, with an access code.
func Second() keyfile.Record {
	return keyfile.Record{Kind: token.YubicoOTP, Serial: 10200302, Slot: 2, PublicID: Modhex("cbcdcecfcgch"),
		PrivateID: Hex(PrivateID2), Key: Hex(Key2), AccessCode: Hex(Access2), Created: time.Date(2026, 3, 1, 10, 0, 2, 0, time.UTC)}
}

// Alice is HOTP, 6 digits, at counter 0.
func Alice() keyfile.Record {
	return keyfile.Record{Kind: token.HOTP, Label: "UBOM00900001", Key: Hex(SeedAlice), Digits: 6, Hash: "sha1", Owner: "alice"}
}

// Bob is HOTP, 8 digits, at counter 42.
func Bob() keyfile.Record {
	return keyfile.Record{Kind: token.HOTP, Label: "UBOM00900002", Key: Hex(SeedBob), Digits: 8, Hash: "sha1", Counter: 42, Owner: "bob"}
}

// Carol is TOTP with SHA-1.
func Carol() keyfile.Record {
	return keyfile.Record{Kind: token.TOTP, Label: "TOTP00900003", Key: Hex(SeedCarol), Digits: 6, Hash: "sha1", Period: 30 * time.Second, Owner: "carol"}
}

// Dave is TOTP with SHA-256 and a key of 32 bytes.
func Dave() keyfile.Record {
	return keyfile.Record{Kind: token.TOTP, Label: "TOTP00900004", Key: Hex(SeedDave), Digits: 6, Hash: "sha256", Period: 30 * time.Second, Owner: "dave"}
}

// SlotHOTP is alice's seed in slot 2 of device 10200301.
func SlotHOTP() keyfile.Record {
	r := Alice()
	r.Label, r.Serial, r.Slot, r.Owner = "", 10200301, 2, ""
	return r
}

// All lists every sample.
func All() []keyfile.Record {
	return []keyfile.Record{First(), Second(), Alice(), Bob(), Carol(), Dave(), SlotHOTP()}
}

// With is a copy of r that change has changed.
func With(r keyfile.Record, change func(*keyfile.Record)) keyfile.Record {
	change(&r)
	return r
}

// Encode writes recs with c into a text.
func Encode(c keyfile.Codec, recs ...keyfile.Record) (string, error) {
	var b strings.Builder
	e := c.NewEncoder(&b)
	for _, r := range recs {
		if err := e.Encode(r); err != nil {
			return b.String(), err
		}
	}
	err := e.Close()
	return b.String(), err
}

// Decode reads text with c into the good records and the errors, both in order.
func Decode(c keyfile.Reader, text string) (recs []keyfile.Record, errs []error) {
	for rec, err := range c.Decode(strings.NewReader(text)) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		recs = append(recs, rec)
	}
	return recs, errs
}

// Echo is a piece of text, six characters with a digit among them, that err repeats; "" when it repeats none. It finds
// every key and serial number and none of the words that an error is made of.
func Echo(err error, text string) string {
	for i := range max(0, len(text)-5) {
		if w := text[i : i+6]; strings.ContainsAny(w, "0123456789") && strings.Contains(err.Error(), w) {
			return w
		}
	}
	return ""
}
