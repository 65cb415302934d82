package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// A wrapped key file is a sealing key's file that opens only with one of some YubiKeys. Its text is
//
//	tokendesk-wrapped-key:1
//	piv:SERIAL:SLOT:PUBLIC:MESSAGE    for each recipient
//	ring:NONCE CIPHERTEXT TAG
//
// SERIAL is decimal, SLOT the PIV key reference as two hexadecimal digits, PUBLIC the P-256 point [65] of the key in that slot. MESSAGE is
// the file key [32] sealed by HPKE (RFC 9180) in base mode to PUBLIC: encapsulated key [65], ciphertext [32], tag [16]; KEM
// DHKEM(P-256, HKDF-SHA256) (0x0010), KDF HKDF-SHA256 (0x0001), AEAD ChaCha20Poly1305 (0x0003); info is "tokendesk unlock 1", the associated
// data are the line up to MESSAGE. The ring is the text of a key file that is not wrapped, by AES-256-GCM under the file key; its associated
// data are the lines before it: who cannot open the file cannot add a recipient, for whom the next version of the key would be.
//
// The file key stays while versions of the sealing key come and go, so that a running server reads the file again without its YubiKey. It is
// drawn anew whenever the recipients change.
const (
	wrappedPrefix = "tokendesk-wrapped-key:1\n"
	pivPrefix     = "piv:"
	ringPrefix    = "ring:"
	unlockDomain  = "tokendesk unlock 1"

	pointLen      = 65 // of P-256, uncompressed
	wrapLen       = pointLen + KeyLen + tagLen
	maxRecipients = 16
	maxWrapped    = 16 << 10 // bytes; 16 recipients and 16 versions are 15 KiB
)

// ErrWrapped is a wrapped key file, and nothing to unlock it by.
var ErrWrapped = errors.New("the sealing key opens only with a YubiKey")

// Recipient is the key in a PIV slot of a YubiKey that opens a wrapped key file.
type Recipient struct {
	Serial uint32          // never 0
	Slot   byte            // PIV key reference, such as 0x9D
	Public *ecdh.PublicKey // of P-256
}

// Is reports whether two are the same slot of the same YubiKey.
func (r Recipient) Is(as Recipient) bool { return r.Serial == as.Serial && r.Slot == as.Slot }

func (r Recipient) check() error {
	if r.Serial == 0 || r.Public == nil || r.Public.Curve() != ecdh.P256() {
		return errors.New("a recipient has a serial number and a key of P-256")
	}
	return nil
}

// line is a recipient's line up to its message.
func (r Recipient) line() []byte {
	return fmt.Appendf(nil, "%s%d:%02x:%x:", pivPrefix, r.Serial, r.Slot, r.Public.Bytes())
}

// wrap seals a file key to the recipient.
func (r Recipient) wrap(fileKey secret.Bytes) ([]byte, error) {
	pub, err := hpke.NewDHKEMPublicKey(r.Public)
	if err != nil {
		return nil, err
	}
	enc, sender, err := hpke.NewSender(pub, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(unlockDomain))
	if err != nil {
		return nil, err
	}
	text, err := sender.Seal(r.line(), fileKey.Reveal())
	return append(enc, text...), err
}

// open is the inverse of wrap. What key's ECDH answers is passed on as it is; ErrOpen: it is another key, or the message was changed.
func (r Recipient) open(key ecdh.KeyExchanger, message []byte) (secret.Bytes, error) {
	told := &telling{KeyExchanger: key}
	private, err := hpke.NewDHKEMPrivateKey(told)
	if err != nil {
		return secret.Bytes{}, err
	}
	if len(message) != wrapLen || !key.PublicKey().Equal(r.Public) {
		return secret.Bytes{}, ErrOpen
	}
	recipient, err := hpke.NewRecipient(message[:pointLen], private, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(unlockDomain))
	if told.err != nil {
		return secret.Bytes{}, told.err
	}
	if err != nil {
		return secret.Bytes{}, ErrOpen
	}
	raw, err := recipient.Open(r.line(), message[pointLen:])
	if err != nil {
		return secret.Bytes{}, ErrOpen
	}
	return secret.New(raw), nil
}

// telling keeps what went wrong on the card, which HPKE need not pass on.
type telling struct {
	ecdh.KeyExchanger
	err error
}

// ECDH implements ecdh.KeyExchanger.
func (t *telling) ECDH(peer *ecdh.PublicKey) (shared []byte, err error) {
	shared, err = t.KeyExchanger.ECDH(peer)
	t.err = err
	return shared, err
}

// Prove seals something to a recipient and opens it by key, which takes one ECDH: a file wrapped for it can be opened.
func (r Recipient) Prove(key ecdh.KeyExchanger, random io.Reader) error {
	if err := r.check(); err != nil {
		return err
	}
	trial, err := secret.Random(random, KeyLen)
	if err != nil {
		return err
	}
	defer trial.Destroy()
	message, err := r.wrap(trial)
	if err != nil {
		return err
	}
	again, err := r.open(key, message)
	if err != nil {
		return err
	}
	defer again.Destroy()
	if !again.Equal(trial) {
		return ErrOpen
	}
	return nil
}

// envelope is a wrapped file as it is read. head are all lines before the ring's.
type envelope struct {
	to       []Recipient
	messages [][]byte // [wrapLen] each
	head     []byte
	sealed   []byte // nonce, ciphertext, tag
}

// isWrapped reports whether a file says of itself that it is wrapped.
func isWrapped(text []byte) bool {
	return bytes.HasPrefix(text, []byte(wrappedPrefix[:len(wrappedPrefix)-2]))
}

// parseWrapped reads what marshal wrote, exactly. Nothing in it is secret, and nothing of it is proven yet.
func parseWrapped(text []byte) (envelope, error) {
	var e envelope
	rest, ok := bytes.CutPrefix(text, []byte(wrappedPrefix))
	if !ok || len(text) > maxWrapped {
		return envelope{}, ErrFormat
	}
	for bytes.HasPrefix(rest, []byte(pivPrefix)) {
		line, after, ok := bytes.Cut(rest, []byte("\n"))
		r, message, err := parseRecipient(line)
		if !ok || err != nil || len(e.to) == maxRecipients || slices.ContainsFunc(e.to, r.Is) {
			return envelope{}, ErrFormat
		}
		e.to, e.messages, rest = append(e.to, r), append(e.messages, message), after
	}
	e.head = text[:len(text)-len(rest)]
	digits, ok := bytes.CutPrefix(rest, []byte(ringPrefix))
	digits, ended := bytes.CutSuffix(digits, []byte("\n"))
	sealed, err := lowerHex(digits)
	if !ok || !ended || err != nil || len(e.to) == 0 || len(sealed) <= Overhead || len(sealed) > maxRing+Overhead {
		return envelope{}, ErrFormat
	}
	e.sealed = sealed
	return e, nil
}

func parseRecipient(line []byte) (Recipient, []byte, error) {
	parts := bytes.Split(line, []byte(":"))
	if len(parts) != 5 || len(parts[2]) != 2 {
		return Recipient{}, nil, ErrFormat
	}
	serial, err := strconv.ParseUint(string(parts[1]), 10, 32)
	if err != nil || parts[1][0] == '0' || parts[1][0] == '+' {
		return Recipient{}, nil, ErrFormat
	}
	var fields [3][]byte
	for i := range fields {
		if fields[i], err = lowerHex(parts[i+2]); err != nil {
			return Recipient{}, nil, err
		}
	}
	public, err := ecdh.P256().NewPublicKey(fields[1])
	if err != nil || len(fields[2]) != wrapLen {
		return Recipient{}, nil, ErrFormat
	}
	return Recipient{uint32(serial), fields[0][0], public}, fields[2], nil
}

// lowerHex decodes lower-case digits.
func lowerHex(digits []byte) ([]byte, error) {
	out, err := hex.AppendDecode(nil, digits)
	if err != nil || !bytes.Equal(bytes.ToLower(digits), digits) {
		return nil, ErrFormat
	}
	return out, nil
}

// marshalWrapped seals a ring's text under a file key, which it wraps for each recipient.
func marshalWrapped(random io.Reader, to []Recipient, fileKey secret.Bytes, text []byte) ([]byte, error) {
	if len(to) == 0 || len(to) > maxRecipients {
		return nil, fmt.Errorf("%d YubiKeys: a sealing key is wrapped for 1 to %d", len(to), maxRecipients)
	}
	head := []byte(wrappedPrefix)
	for i, r := range to {
		if err := r.check(); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(to[:i], r.Is) {
			return nil, fmt.Errorf("the YubiKey %d is named twice", r.Serial)
		}
		message, err := r.wrap(fileKey)
		if err != nil {
			return nil, err
		}
		head = append(hex.AppendEncode(append(head, r.line()...), message), '\n')
	}
	return sealRing(random, head, fileKey, text)
}

// sealRing puts a ring's text behind a head.
func sealRing(random io.Reader, head []byte, fileKey secret.Bytes, text []byte) ([]byte, error) {
	aead, err := fileCipher(fileKey)
	if err != nil {
		return nil, err
	}
	sealed := make([]byte, nonceLen, Overhead+len(text))
	if _, err := io.ReadFull(random, sealed); err != nil {
		return nil, fmt.Errorf("draw nonce: %w", err)
	}
	sealed = aead.Seal(sealed, sealed, text, ringData(head))
	out := append(slices.Clip(head), ringPrefix...)
	return append(hex.AppendEncode(out, sealed), '\n'), nil
}

// openRing is the inverse of sealRing; ErrOpen: it is another file key, or a line was changed. The caller destroys the ring.
func (e envelope) openRing(fileKey secret.Bytes) (ring, error) {
	aead, err := fileCipher(fileKey)
	if err != nil {
		return ring{}, err
	}
	text, err := aead.Open(nil, e.sealed[:nonceLen], e.sealed[nonceLen:], ringData(e.head))
	if err != nil {
		return ring{}, ErrOpen
	}
	defer clear(text)
	return parseRing(text)
}

// fileKey opens the message to the one of the recipients whose key this is.
func (e envelope) fileKey(key ecdh.KeyExchanger) (secret.Bytes, error) {
	for i, r := range e.to {
		if key.PublicKey().Equal(r.Public) {
			return r.open(key, e.messages[i])
		}
	}
	return secret.Bytes{}, ErrOpen
}

func fileCipher(fileKey secret.Bytes) (cipher.AEAD, error) {
	b, err := aes.NewCipher(fileKey.Reveal())
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// ringData are the associated data of the ring: the domain with its length as 32 bits big-endian, and the lines before it.
func ringData(head []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(unlockDomain)))
	return append(append(out, unlockDomain...), head...)
}
