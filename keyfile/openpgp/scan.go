package openpgp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/tokendesk/tokendesk/keyfile/envelope"
)

// Limits of what stands before the encrypted bytes. The library has none of its own.
const (
	maxHeader     = 64 << 10 // bytes
	maxKeyPackets = 64       // a recipient or a passphrase each
	maxSignatures = 16
	maxArgon2     = 19 // exponent of KiB: 512 MiB
)

// ErrWork is a message whose passphrase needs more memory than this program gives: 512 MiB.
var ErrWork = fmt.Errorf("the message wants more than 2^%d KiB of memory to try a passphrase", maxArgon2)

// means is what opens a message.
type means struct {
	keys       []uint64 // IDs of the recipients' keys; 0: hidden
	passphrase bool
}

func (m means) encrypted() bool { return len(m.keys) > 0 || m.passphrase }

// peek begins a message, without its armour, and looks at the packets before the encrypted bytes.
func peek(r io.Reader) (*bufio.Reader, means, error) {
	b := bufio.NewReaderSize(bare(r), maxHeader)
	head, err := b.Peek(maxHeader)
	if err != nil && err != io.EOF {
		return nil, means{}, err
	}
	m, err := scan(head)
	return b, m, err
}

// bare takes the armour off, if there is one.
func bare(r io.Reader) io.Reader {
	b := bufio.NewReader(r)
	if head, _ := b.Peek(b.Size()); startsMessage(head) {
		return b
	}
	return envelope.Unarmour(b, kind)
}

// scan reads whole packets from the head of a message until one is neither a session key nor to be skipped.
func scan(head []byte) (m means, err error) {
	packets := packet.NewOpaqueReader(bytes.NewReader(head))
	for n := 0; ; n++ {
		p, err := packets.Next()
		if err != nil || n > maxKeyPackets {
			// A packet that is cut by the end of head is the encrypted one, unless head holds nothing but session keys.
			if p == nil || n > maxKeyPackets {
				return means{}, envelope.ErrBroken
			}
			return m, nil
		}
		switch p.Tag {
		case tagMarker, tagPadding:
		case tagEncryptedKey:
			if len(p.Contents) < 9 {
				return means{}, envelope.ErrBroken
			}
			var id uint64 // version 6 names a fingerprint; the library finds the key
			if p.Contents[0] == 3 {
				id = binary.BigEndian.Uint64(p.Contents[1:9])
			}
			m.keys = append(m.keys, id)
		case tagPassphraseKey:
			m.passphrase = true
			if err := checkArgon2(p.Contents); err != nil {
				return means{}, err
			}
		case tagEncrypted:
			return means{}, ErrUnprotected
		default:
			return m, nil
		}
	}
}

// checkArgon2 refuses a passphrase packet that asks for too much. Source: RFC 9580 §5.3, §3.7.1.4.
func checkArgon2(b []byte) error {
	const argon2, s2kSize = 4, 1 + 16 + 3
	at := 2 // version, cipher, S2K
	if len(b) > 0 && b[0] == 5 {
		at = 3 // and AEAD mode
	} else if len(b) > 0 && b[0] == 6 {
		at = 5 // with counts in front of both
	}
	if len(b) <= at || b[at] != argon2 {
		return nil
	}
	if len(b) < at+s2kSize || b[at+s2kSize-1] > maxArgon2 {
		return ErrWork
	}
	return nil
}
