package seal

import (
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Sealing to a server: who writes a journal or sends a transfer has the server's public key only and cannot open again what it
// sealed. HPKE (RFC 9180) in base mode: KEM X25519 with HKDF-SHA256 (0x0020), KDF HKDF-SHA256 (0x0001), AEAD ChaCha20Poly1305
// (0x0003). A message is
//
//	version        1 byte, 1
//	encapsulated   32 bytes
//	ciphertext     as long as the secret
//	tag            16 bytes
//
// info is "tokendesk transfer 1" and the purpose, each with its length as 32 bits big-endian; the associated data are the
// caller's context. Base mode proves nothing about the sender: whoever has the public key can make a message. X25519 does not
// withstand a quantum computer; another version byte is the way out.
const (
	transferPrefix = "tokendesk-transfer-key:"
	publicPrefix   = "tokendesk-transfer-public:"

	messageVersion   = 1
	encapsulatedLen  = 32
	transferDomain   = "tokendesk transfer 1"
	TransferOverhead = 1 + encapsulatedLen + tagLen // a message is longer than its secret by this
)

// Purpose says what a message is for; a message of one purpose does not open as another.
type Purpose string

// The purposes.
const (
	Journal  Purpose = "journal"
	Transfer Purpose = "transfer"
)

// TransferKey opens what was sealed to its public key. It may be copied and used by any number of goroutines; it does not print.
type TransferKey struct{ private func() hpke.PrivateKey }

// TransferPublic is the public key of a server. It compares with ==. Nothing can be sealed to the zero value.
type TransferPublic struct{ raw [encapsulatedLen]byte }

func newTransferKey(raw []byte) (TransferKey, error) {
	p, err := hpke.DHKEM(ecdh.X25519()).NewPrivateKey(raw)
	if err != nil {
		return TransferKey{}, ErrFormat
	}
	return TransferKey{func() hpke.PrivateKey { return p }}, nil
}

// CreateTransferFile is CreateFile for a key pair: the digits are the 32 bytes of the X25519 private key.
func CreateTransferFile(path string, random io.Reader) (TransferKey, error) {
	raw, err := createRaw(path, transferPrefix, random)
	if err != nil {
		return TransferKey{}, fmt.Errorf("create transfer key: %w", err)
	}
	defer raw.Destroy()
	return newTransferKey(raw.Reveal())
}

// LoadTransferFile is LoadFile for a key pair.
func LoadTransferFile(path string) (TransferKey, error) {
	raw, _, err := loadRaw(path, transferPrefix)
	if err != nil {
		return TransferKey{}, fmt.Errorf("load transfer key: %w", err)
	}
	defer raw.Destroy()
	return newTransferKey(raw.Reveal())
}

// Public is the key to hand out; the zero value for the zero key.
func (k TransferKey) Public() (p TransferPublic) {
	if k.private != nil {
		copy(p.raw[:], k.private().PublicKey().Bytes())
	}
	return p
}

// String is one line of text: prefix, version, colon, 64 lower-case hexadecimal digits.
func (p TransferPublic) String() string {
	return fmt.Sprintf("%s%d:%s", publicPrefix, firstVersion, hex.EncodeToString(p.raw[:]))
}

// ParseTransferPublic reads what String wrote, with or without a line end; any other text is ErrFormat.
func ParseTransferPublic(text string) (TransferPublic, error) {
	raw, version, err := parse([]byte(text), publicPrefix)
	if err != nil {
		return TransferPublic{}, err
	}
	if version != firstVersion || raw.IsZero() {
		return TransferPublic{}, ErrFormat
	}
	var p TransferPublic
	copy(p.raw[:], raw.Reveal())
	return p, nil
}

// SealTo seals s for the owner of to. context is bound to the message and not part of it: the opener must name the same.
func SealTo(to TransferPublic, purpose Purpose, context []byte, s secret.Bytes) ([]byte, error) {
	pub, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(to.raw[:])
	if err != nil {
		return nil, fmt.Errorf("seal to a public key: %w", err)
	}
	enc, sender, err := hpke.NewSender(pub, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info(purpose))
	if err != nil {
		return nil, fmt.Errorf("seal to a public key: %w", err)
	}
	text, err := sender.Seal(context, s.Reveal())
	if err != nil {
		return nil, fmt.Errorf("seal to a public key: %w", err)
	}
	return append(append([]byte{messageVersion}, enc...), text...), nil
}

// OpenWith returns the secret that SealTo sealed to k for the same purpose and context, or ErrOpen. The caller destroys it.
func OpenWith(k TransferKey, purpose Purpose, context, message []byte) (secret.Bytes, error) {
	if k.private == nil || len(message) < TransferOverhead || message[0] != messageVersion {
		return secret.Bytes{}, ErrOpen
	}
	enc, text := message[1:1+encapsulatedLen], message[1+encapsulatedLen:]
	return openHPKE(k, info(purpose), context, enc, text)
}

func openHPKE(k TransferKey, info, context, enc, text []byte) (secret.Bytes, error) {
	r, err := hpke.NewRecipient(enc, k.private(), hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info)
	if err != nil {
		return secret.Bytes{}, ErrOpen
	}
	b, err := r.Open(context, text)
	if err != nil {
		return secret.Bytes{}, ErrOpen
	}
	return secret.New(b), nil
}

func info(purpose Purpose) []byte {
	var out []byte
	for _, f := range []string{transferDomain, string(purpose)} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(f)))
		out = append(out, f...)
	}
	return out
}
