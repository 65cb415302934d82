package openpgp

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/envelope"
	"github.com/tokendesk/tokendesk/keyfile/envelope/envelopetest"
)

// raw is a packet in the new format with a length of five bytes.
func raw(tag byte, contents []byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte{alwaysSet | newFormat | tag, 255}, uint32(len(contents)))
	return append(out, contents...)
}

// argon2 is a passphrase packet of a version that wants 2^memory KiB.
func argon2(version, memory byte) []byte {
	salt := make([]byte, 16)
	s2k := append(append([]byte{4}, salt...), 1, 1, memory)
	switch version {
	case 4:
		return raw(tagPassphraseKey, append([]byte{4, byte(packet.CipherAES256)}, s2k...))
	case 5:
		return raw(tagPassphraseKey, append(append([]byte{5, 9, 2}, s2k...), make([]byte, 63)...))
	}
	return raw(tagPassphraseKey, append(append([]byte{6, 0, 9, 2, 20}, s2k...), make([]byte, 63)...))
}

// A message that anybody can send must not fill the memory or the time of its reader.
func TestHostile(t *testing.T) {
	t.Parallel()
	data := raw(tagProtected, append([]byte{1}, make([]byte, 100)...))
	to := raw(tagEncryptedKey, append([]byte{3, 1, 2, 3, 4, 5, 6, 7, 8, 1}, make([]byte, 40)...))
	var bomb bytes.Buffer
	bomb.Write([]byte{1})
	w, err := flate.NewWriter(&bomb, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	onePass := raw(tagOnePass, append([]byte{3, 0, 8, 1}, make([]byte, 9)...))
	for range 1 << 20 {
		_, _ = w.Write(onePass)
	}
	_ = w.Close()
	for name, tc := range map[string]struct {
		message []byte
		err     error
	}{
		"argon2 of 2 TiB, version 4": {append(argon2(4, 31), data...), ErrWork}, "version 5": {append(argon2(5, 31), data...), ErrWork},
		"version 6": {append(argon2(6, 31), data...), ErrWork}, "argon2 of 1 GiB": {append(argon2(4, 20), data...), ErrWork},
		"thousands of recipients": {append(bytes.Repeat(to, 1000), data...), envelope.ErrBroken}, "markers": {bytes.Repeat(raw(tagMarker, []byte("PGP")), 1<<16), envelope.ErrBroken},
		"signatures in a bomb": {raw(tagCompressed, bomb.Bytes()), envelope.ErrBroken}, "no MDC": {append(bytes.Clone(to), raw(tagEncrypted, make([]byte, 100))...), ErrUnprotected},
		"literal": {raw(11, append([]byte{'b', 0, 0, 0, 0, 0}, text...)), envelope.ErrBroken}, "one byte": {[]byte{0xd2}, envelope.ErrBroken}, "nothing": {nil, envelope.ErrBroken},
		"zeros": {make([]byte, 1<<20), envelope.ErrBroken}, "zeros in armour": {append([]byte("-----BEGIN PGP MESSAGE-----\n"), make([]byte, 1<<20)...), envelope.ErrBroken},
		"only a recipient": {to, envelope.ErrBroken}, "UTF-16": {[]byte("\xff\xfe-\x00-\x00"), envelope.ErrBroken},
		"clear-signed": {[]byte("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nx\n"), envelope.ErrBroken},
	} {
		begun := time.Now()
		got, _, err := envelopetest.ReadAll(with(newPair(t, "x", "", curve()).private, "x"), tc.message)
		if len(got) > 0 || !errors.Is(err, tc.err) && !(errors.Is(err, envelope.ErrWrongKey) && tc.err == envelope.ErrBroken) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("%s takes %s", name, took)
		}
	}
}

// A large message is read in the memory of a small one.
func TestMemoryIsFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("a large message")
	}
	server := newPair(t, "server", "", curve())
	heap := func(rows int) uint64 {
		m := sealed(t, Envelope{To: readKeys(t, server.public)}, strings.Repeat(text, rows))
		r, _, err := with(server.private, "")(bytes.NewReader(m))
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		if n, err := io.Copy(io.Discard, r); err != nil || n != int64(rows*len(text)) {
			t.Fatalf("%d bytes, %v", n, err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	small, large := heap(1000), heap(50000)
	if large > small+8<<20 {
		t.Errorf("%d bytes for 1000 rows, %d for 50000", small, large)
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"nothing": "", "CSV": "10200301,vvccccknlfut,", "umlaut": "\xc3\xbcnlf,1", "BOM": "\xEF\xBB\xBFserial", "UTF-16": "\xff\xfea\x00", "UTF-16 BE": "\xfe\xff\x00a",
		"latin-1": "\xc4\xd6\xdc", "key": "-----BEGIN PGP PUBLIC KEY BLOCK-----\n", "clear-signed": "-----BEGIN PGP SIGNED MESSAGE-----\n",
		"PNG": "\x89PNG\r\n\x1a\n", "gzip": "\x1f\x8b\x08", "Japanese": "\xe5\x90\x8d\xe5\x89\x8d", "Greek": "\xce\xb1\xce\xb2", "one byte": "\x85",
	} {
		if Detect([]byte(head)) {
			t.Errorf("%s is taken for a message", name)
		}
	}
	for name, head := range map[string]string{
		"armoured": "-----BEGIN PGP MESSAGE-----\n", "BOM": "\xEF\xBB\xBF\r\n-----BEGIN PGP MESSAGE-----\r\n", "gpg": "\x85\x01\x0c\x03\x01\x02", "passphrase": "\x8c\x0d\x04\x09",
		"new format": "\xc1\xc0\x10\x03", "long": "\xc1\xff\x00\x00\x01\x00\x03", "AEAD": "\xd2\x50\x02", "signed": "\x90\x0d\x03", "compressed": "\xa3\x02\x78",
	} {
		if !Detect([]byte(head)) {
			t.Errorf("%s is not detected", name)
		}
	}
}

func TestReadKeysRefuses(t *testing.T) {
	t.Parallel()
	a := newPair(t, "a", "", curve())
	strange := raw(tagPublicKey, append([]byte{4, 0, 0, 0, 0, 99}, make([]byte, 20)...))
	for name, file := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "message": []byte("-----BEGIN PGP MESSAGE-----\n\n-----END PGP MESSAGE-----\n"), "huge": make([]byte, MaxKeyFile+1),
		"one of two unknown": append(bytes.Clone(a.public), strange...), "cut": a.public[:20], "armour without end": []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDME\n"),
	} {
		if _, err := ReadKeys(file); !errors.Is(err, ErrKeys) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if k := readKeys(t, a.public, newPair(t, "b", "", curve()).public); k.Len() != 2 || !strings.Contains(k.Names(nil)[0], "a@example.org") {
		t.Errorf("%v", k.Names(nil))
	}
	if _, err := (Envelope{}).Seal(io.Discard); err == nil {
		t.Error("sealed to nobody")
	}
	if _, err := (Envelope{Signer: readKeys(t, a.public)}).Seal(io.Discard); !errors.Is(err, ErrNoSecretKey) {
		t.Errorf("signed with a public key: %v", err)
	}
	locked := readKeys(t, newPair(t, "c", "sesame", curve()).private)
	if _, err := (Envelope{Signer: locked}).Seal(io.Discard); !errors.Is(err, keyfile.ErrLocked) {
		t.Errorf("nobody to ask: %v", err)
	}
	ask := envelopetest.Answers(map[keyfile.Means]string{keyfile.Passphrase: "wrong"})
	if _, err := (Envelope{Signer: locked, Ask: ask}).Seal(io.Discard); !errors.Is(err, envelope.ErrWrongKey) {
		t.Errorf("wrong passphrase: %v", err)
	}
}

// FuzzOpen: no panic; what is opened was signed or encrypted; an error hands out nothing.
func FuzzOpen(f *testing.F) {
	now := func() time.Time { return time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC) }
	conf := curve()
	conf.Time = now
	server := newPair(f, "server", "", conf)
	keys, private := readKeys(f, server.public), readKeys(f, server.private)
	both := sealed(f, Envelope{To: keys, Signer: private, Now: now}, text)
	for _, m := range [][]byte{
		both, unarmoured(f, both), sealed(f, Envelope{To: keys, Now: now}, text), unarmoured(f, sealed(f, Envelope{Signer: private, Now: now}, text)),
		append(argon2(4, 10), raw(tagProtected, append([]byte{1}, make([]byte, 60)...))...), both[:60], nil, {0xd2},
	} {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		ask := envelopetest.Answers(map[keyfile.Means]string{keyfile.PrivateKey: string(server.private), keyfile.Passphrase: "x"})
		got, info, err := envelopetest.ReadAll(func(src io.ReadSeeker) (io.Reader, envelope.Info, error) {
			return Opener{Ask: ask, Signers: keys, Now: now}.Open(src)
		}, message)
		if err == nil && (!info.Signed || info.Signer == "" || string(got) != text) || err != nil && len(got) > 0 {
			t.Fatalf("%d bytes, %+v, %v", len(got), info, err)
		}
	})
}

// FuzzReadKeys: no panic, and what is read has a name.
func FuzzReadKeys(f *testing.F) {
	p := newPair(f, "server", "sesame", curve())
	for _, k := range [][]byte{p.public, p.private, p.public[:50], nil, []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n")} {
		f.Add(k)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		k, err := ReadKeys(file)
		if err == nil && (k.Len() == 0 || len(k.Names(nil)) != k.Len()) || err != nil && k.Len() > 0 {
			t.Fatalf("%d keys, %v", k.Len(), err)
		}
	})
}
