package openpgp

import (
	"bytes"
	"crypto"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/envelope"
	"github.com/tokendesk/tokendesk/keyfile/envelope/envelopetest"
)

const text = "# ykksm 1\n10200301,vvccccknlfut,5c45bd4baca5,688a3c8423bd5e0811602fe6977ff4f2,000000000000,2026-03-01T10:00:01,\n# the end\n"

// pair is a key pair as files.
type pair struct{ public, private []byte }

// newPair makes a Curve25519 key pair, with the passphrase if that is not "".
func newPair(t testing.TB, name, passphrase string, conf *packet.Config) pair {
	t.Helper()
	e, err := openpgp.NewEntity(name, "", name+"@example.org", conf)
	if err != nil {
		t.Fatal(err)
	}
	var public, private bytes.Buffer
	if err := e.Serialize(&public); err != nil {
		t.Fatal(err)
	}
	if passphrase != "" {
		if err := e.EncryptPrivateKeys([]byte(passphrase), conf); err != nil {
			t.Fatal(err)
		}
		err = e.SerializePrivateWithoutSigning(&private, conf)
	} else {
		err = e.SerializePrivate(&private, conf)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pair{public.Bytes(), private.Bytes()}
}

func curve() *packet.Config {
	return &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519}
}

func readKeys(t testing.TB, files ...[]byte) Keys {
	t.Helper()
	k, err := ReadKeys(bytes.Join(files, nil))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sealed(t testing.TB, v Envelope, clearText string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := v.Seal(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, clearText); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !Detect(b.Bytes()) || !bytes.HasPrefix(b.Bytes(), []byte("-----BEGIN PGP MESSAGE-----\n")) || !bytes.HasSuffix(b.Bytes(), []byte("-----END PGP MESSAGE-----\n")) {
		t.Errorf("no armoured message:\n%s", b.Bytes())
	}
	return b.Bytes()
}

// unarmoured is a message in binary.
func unarmoured(t testing.TB, message []byte) []byte {
	t.Helper()
	b, err := io.ReadAll(envelope.Unarmour(bytes.NewReader(message), kind))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// with opens with a secret key file, a passphrase if not "", and public keys of signers.
func with(private []byte, passphrase string, signers ...[]byte) envelopetest.Open {
	answers := map[keyfile.Means]string{}
	if private != nil {
		answers[keyfile.PrivateKey] = string(private)
	}
	if passphrase != "" {
		answers[keyfile.Passphrase] = passphrase
	}
	return func(src io.ReadSeeker) (io.Reader, envelope.Info, error) {
		var keys Keys
		if len(signers) > 0 {
			var err error
			if keys, err = ReadKeys(bytes.Join(signers, nil)); err != nil {
				return nil, envelope.Info{}, err
			}
		}
		return Opener{Ask: envelopetest.Answers(answers), Signers: keys}.Open(src)
	}
}

func TestEncryptAndSign(t *testing.T) {
	t.Parallel()
	server, second, desk, other := newPair(t, "server", "", curve()), newPair(t, "second", "open", curve()), newPair(t, "desk", "sesame", curve()), newPair(t, "other", "", curve())
	ask := envelopetest.Answers(map[keyfile.Means]string{keyfile.Passphrase: "sesame"})
	long := strings.Repeat(text, 2000)
	for _, clearText := range []string{"", text, long} {
		m := sealed(t, Envelope{To: readKeys(t, server.public, second.public), Signer: readKeys(t, desk.private), Ask: ask}, clearText)
		for _, message := range [][]byte{m, unarmoured(t, m)} {
			info := envelopetest.AssertOpens(t, "unknown signer", with(server.private, ""), message, []byte(clearText))
			if info != (envelope.Info{Encrypted: true, Signed: true}) {
				t.Errorf("%+v", info)
			}
			info = envelopetest.AssertOpens(t, "signer", with(second.private, "open", desk.public), message, []byte(clearText))
			if !strings.Contains(info.Signer, "desk <desk@example.org>") || !info.Signed {
				t.Errorf("%+v", info)
			}
		}
		for name, tc := range map[string]struct {
			open envelopetest.Open
			err  error
		}{
			"other signer": {with(server.private, "", other.public), ErrSignature}, "other key": {with(other.private, ""), envelope.ErrWrongKey},
			"wrong passphrase": {with(second.private, "wrong"), envelope.ErrWrongKey}, "no passphrase": {with(second.private, ""), keyfile.ErrLocked},
			"no key": {with(nil, ""), keyfile.ErrLocked}, "public key": {with(server.public, ""), ErrNoSecretKey}, "no key file": {with([]byte("hello"), ""), ErrKeys},
		} {
			if _, _, err := envelopetest.ReadAll(tc.open, m); !errors.Is(err, tc.err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, _, err := (Opener{}).Open(bytes.NewReader(m)); !errors.Is(err, keyfile.ErrLocked) {
			t.Errorf("nobody to ask: %v", err)
		}
	}
}

func TestSignedOnly(t *testing.T) {
	t.Parallel()
	desk, other := newPair(t, "desk", "", curve()), newPair(t, "other", "", curve())
	m := sealed(t, Envelope{Signer: readKeys(t, desk.private)}, text)
	if info := envelopetest.AssertOpens(t, "signed", with(nil, "", desk.public), m, []byte(text)); info.Encrypted || info.Signer == "" {
		t.Errorf("%+v", info)
	}
	if _, _, err := envelopetest.ReadAll(with(nil, ""), m); !errors.Is(err, ErrUnverified) {
		t.Errorf("without a key: %v", err)
	}
	if _, _, err := envelopetest.ReadAll(with(nil, "", other.public), m); !errors.Is(err, ErrSignature) {
		t.Errorf("other key: %v", err)
	}
	unsigned := sealed(t, Envelope{To: readKeys(t, desk.public)}, text)
	if info := envelopetest.AssertOpens(t, "unsigned", with(desk.private, ""), unsigned, []byte(text)); info.Signed {
		t.Errorf("%+v", info)
	}
	if _, _, err := envelopetest.ReadAll(with(desk.private, "", desk.public), unsigned); !errors.Is(err, ErrSignature) {
		t.Errorf("an unsigned message passes for a signed one: %v", err)
	}
}

func TestWholeOrNothing(t *testing.T) {
	t.Parallel()
	server, desk := newPair(t, "server", "", curve()), newPair(t, "desk", "", curve())
	long := strings.Repeat(text, 3)
	both := sealed(t, Envelope{To: readKeys(t, server.public), Signer: readKeys(t, desk.private)}, long)
	for _, tc := range []struct {
		name    string
		open    envelopetest.Open
		message []byte
	}{
		{"armoured", with(server.private, "", desk.public), both},
		{"encrypted and signed", with(server.private, "", desk.public), unarmoured(t, both)},
		{"signer unknown", with(server.private, ""), unarmoured(t, both)},
		{"encrypted", with(server.private, ""), unarmoured(t, sealed(t, Envelope{To: readKeys(t, server.public)}, long))},
		{"signed", with(nil, "", desk.public), unarmoured(t, sealed(t, Envelope{Signer: readKeys(t, desk.private)}, long))},
		{"compressed", with(server.private, ""), sealRaw(t, server, nil, &packet.Config{DefaultCompressionAlgo: packet.CompressionZIP})},
	} {
		want := long
		if tc.name == "compressed" {
			want = text
		}
		envelopetest.AssertWhole(t, tc.name, tc.open, tc.message, []byte(want), 3)
	}
}

// Weak keys are neither encrypted to nor signed with.
func TestWeakKeys(t *testing.T) {
	t.Parallel()
	past := func() time.Time { return time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC) }
	for name, tc := range map[string]struct {
		conf *packet.Config
		ok   bool
	}{
		"RSA 1024":  {&packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 1024, MinRSABits: 1024}, false},
		"RSA 2048":  {&packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048}, true},
		"expired":   {&packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: past, KeyLifetimeSecs: 3600}, false},
		"future":    {&packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return time.Now().Add(48 * time.Hour) }}, false},
		"secp256k1": {&packet.Config{Algorithm: packet.PubKeyAlgoECDSA, Curve: packet.CurveSecP256k1}, false},
		"P-256":     {&packet.Config{Algorithm: packet.PubKeyAlgoECDSA, Curve: packet.CurveNistP256}, true},
	} {
		p := newPair(t, "weak", "", tc.conf)
		if _, err := (Envelope{To: readKeys(t, p.public)}).Seal(io.Discard); (err == nil) != tc.ok {
			t.Errorf("encrypt to %s: %v", name, err)
		}
		if _, err := (Envelope{Signer: readKeys(t, p.private)}).Seal(io.Discard); (err == nil) != tc.ok {
			t.Errorf("sign with %s: %v", name, err)
		}
	}
}

// sealRaw makes a message as another program might.
func sealRaw(t *testing.T, to pair, signer *pair, conf *packet.Config) []byte {
	t.Helper()
	list, err := openpgp.ReadKeyRing(bytes.NewReader(to.public))
	if err != nil {
		t.Fatal(err)
	}
	var signers []*openpgp.Entity
	if signer != nil {
		if signers, err = openpgp.ReadKeyRing(bytes.NewReader(signer.private)); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	w, err := openpgp.Encrypt(&b, list, nil, signers, nil, conf)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestForeignMessages(t *testing.T) {
	t.Parallel()
	server := newPair(t, "server", "", curve())
	aead := newPair(t, "aead", "", &packet.Config{Algorithm: packet.PubKeyAlgoEd25519, V6Keys: true, AEADConfig: &packet.AEADConfig{}})
	for name, tc := range map[string]struct {
		to   pair
		conf *packet.Config
	}{
		"compressed":      {server, &packet.Config{DefaultCompressionAlgo: packet.CompressionZLIB}},
		"version 6, AEAD": {aead, &packet.Config{AEADConfig: &packet.AEADConfig{}}},
		"AES-128":         {server, &packet.Config{DefaultCipher: packet.CipherAES128}},
	} {
		m := sealRaw(t, tc.to, nil, tc.conf)
		if !Detect(m) {
			t.Errorf("%s is not detected", name)
		}
		envelopetest.AssertOpens(t, name, with(tc.to.private, ""), m, []byte(text))
	}
}

// A passphrase opens what was encrypted with one.
func TestPassphrase(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	outer, err := armor.Encode(&b, kind, map[string]string{"Comment": "x"})
	if err != nil {
		t.Fatal(err)
	}
	w, err := openpgp.SymmetricallyEncrypt(outer, []byte("correct horse"), nil, &packet.Config{DefaultCipher: packet.CipherAES256, DefaultHash: crypto.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil || w.Close() != nil || outer.Close() != nil {
		t.Fatal(err)
	}
	envelopetest.AssertOpens(t, "passphrase", with(nil, "correct horse"), b.Bytes(), []byte(text))
	for range 3 {
		if _, _, err := envelopetest.ReadAll(with(nil, "wrong"), b.Bytes()); !errors.Is(err, envelope.ErrWrongKey) && !errors.Is(err, envelope.ErrBroken) {
			t.Errorf("wrong: %v", err)
		}
	}
	if _, _, err := envelopetest.ReadAll(with([]byte("key"), ""), b.Bytes()); !errors.Is(err, keyfile.ErrLocked) {
		t.Errorf("no passphrase: %v", err)
	}
}
