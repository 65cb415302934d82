package seal

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

func drawKey(t *testing.T, number uint32) Key {
	t.Helper()
	raw, err := secret.Random(rand.Reader, KeyLen)
	if err != nil {
		t.Fatal(err)
	}
	k, err := newKey([]version{{number, raw}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOpenOnlyAtItsPlace(t *testing.T) {
	t.Parallel()
	k := drawKey(t, 1)
	here := Place{Store: StoreID{1}, Owner: "credential", ID: 7, What: AESKey}
	row, err := k.Seal(rand.Reader, here, secret.Copy([]byte("0123456789abcdef")))
	if err != nil {
		t.Fatal(err)
	}
	if len(row) != 16+Overhead || bytes.Contains(row, []byte("0123456789abcdef")) {
		t.Errorf("row is %d bytes", len(row))
	}
	s, err := k.Open(here, 1, row)
	if err != nil || string(s.Reveal()) != "0123456789abcdef" {
		t.Fatalf("open: %v", err)
	}
	newer := Key{version: 2, aeads: func() map[uint32]cipher.AEAD { return map[uint32]cipher.AEAD{2: k.aeads()[1]} }}
	for name, open := range map[string]func() (secret.Bytes, error){
		"other store":  func() (secret.Bytes, error) { p := here; p.Store[15] = 1; return k.Open(p, 1, row) },
		"other owner":  func() (secret.Bytes, error) { p := here; p.Owner = "client"; return k.Open(p, 1, row) },
		"other number": func() (secret.Bytes, error) { p := here; p.ID = 8; return k.Open(p, 1, row) },
		"other secret": func() (secret.Bytes, error) { p := here; p.What = PrivateID; return k.Open(p, 1, row) },
		"fields run on": func() (secret.Bytes, error) {
			p := here
			p.Owner, p.What = "credentiala", "es-key"
			return k.Open(p, 1, row)
		},
		"other version":     func() (secret.Bytes, error) { return newer.Open(here, 2, row) },
		"other key":         func() (secret.Bytes, error) { return drawKey(t, 1).Open(here, 1, row) },
		"zero key":          func() (secret.Bytes, error) { return Key{}.Open(here, 1, row) },
		"short":             func() (secret.Bytes, error) { return k.Open(here, 1, row[:Overhead-1]) },
		"nothing":           func() (secret.Bytes, error) { return k.Open(here, 1, nil) },
		"one byte too few":  func() (secret.Bytes, error) { return k.Open(here, 1, row[:len(row)-1]) },
		"one byte too many": func() (secret.Bytes, error) { return k.Open(here, 1, append(bytes.Clone(row), 0)) },
	} {
		if s, err := open(); !errors.Is(err, ErrOpen) || s.Len() != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range row {
		changed := bytes.Clone(row)
		changed[i] ^= 1
		if _, err := k.Open(here, 1, changed); !errors.Is(err, ErrOpen) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
}

func TestCheckKnowsItsKey(t *testing.T) {
	t.Parallel()
	k := drawKey(t, 1)
	check, err := k.Check(rand.Reader, StoreID{1})
	if err != nil {
		t.Fatal(err)
	}
	if !k.Matches(StoreID{1}, check) {
		t.Error("the key does not know its own check")
	}
	if k.Matches(StoreID{2}, check) || drawKey(t, 1).Matches(StoreID{1}, check) || k.Matches(StoreID{1}, nil) {
		t.Error("a wrong key or store was taken")
	}
}

func TestSealNeedsRandomness(t *testing.T) {
	t.Parallel()
	if _, err := drawKey(t, 1).Seal(bytes.NewReader(make([]byte, nonceLen-1)), Place{}, secret.Bytes{}); err == nil {
		t.Error("sealed with half a nonce")
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	t.Parallel()
	raw := bytes.Repeat([]byte{0x5a}, KeyLen)
	k, err := newKey([]version{{1, secret.Copy(raw)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := newSigningKey(raw)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		out := fmt.Sprintf(verb+verb, k, s)
		for _, leak := range []string{"5a5a", "ZZZZ", "90 90", "0x5a, 0x5a"} {
			if bytes.Contains([]byte(out), []byte(leak)) {
				t.Errorf("%s shows the key", verb)
			}
		}
	}
}
