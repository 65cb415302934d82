package openpgp

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/envelope"
)

// MaxKeyFile is the largest key file that is read, in bytes.
const MaxKeyFile = 4 << 20

// Keys are the keys of one file, public or secret. The zero value is none. They do not print.
type Keys struct{ entities func() openpgp.EntityList }

func newKeys(list openpgp.EntityList) Keys { return Keys{func() openpgp.EntityList { return list }} }

func (k Keys) list() openpgp.EntityList {
	if k.entities == nil {
		return nil
	}
	return k.entities()
}

// And is the keys of both.
func (k Keys) And(more Keys) Keys { return newKeys(slices.Concat(k.list(), more.list())) }

// Len is the number of keys.
func (k Keys) Len() int { return len(k.list()) }

// Names are the fingerprints, in capital hexadecimal digits, each with a user ID. now nil is the system's clock.
func (k Keys) Names(now func() time.Time) []string {
	var out []string
	for _, e := range k.list() {
		out = append(out, nameOf(e, config(now)))
	}
	return out
}

// ReadKeys reads a key file, armoured or binary, that gpg --export or --export-secret-keys writes. A key that this program does
// not understand is an error even if others are understood: a recipient must not be left out in silence. The caller keeps file.
func ReadKeys(file []byte) (Keys, error) {
	if len(file) > MaxKeyFile {
		return Keys{}, fmt.Errorf("openpgp: %w: larger than %d MiB", ErrKeys, MaxKeyFile>>20)
	}
	bare, err := bareKeys(file)
	if err != nil {
		return Keys{}, fmt.Errorf("openpgp: %w", ErrKeys)
	}
	list, err := openpgp.ReadKeyRing(bytes.NewReader(bare))
	if err != nil || len(list) == 0 {
		return Keys{}, fmt.Errorf("openpgp: %w", ErrKeys)
	}
	if n := countKeys(bare); n != len(list) {
		return Keys{}, fmt.Errorf("openpgp: %w: %d of its %d keys are of a kind that this program does not know", ErrKeys, n-len(list), n)
	}
	return newKeys(list), nil
}

// bareKeys takes the armour off.
func bareKeys(file []byte) ([]byte, error) {
	for _, kind := range []string{openpgp.PublicKeyType, openpgp.PrivateKeyType} {
		if envelope.Armoured(file, kind) {
			return io.ReadAll(envelope.Unarmour(bytes.NewReader(file), kind))
		}
	}
	return file, nil
}

// countKeys counts the primary keys in a binary key file.
func countKeys(bare []byte) (n int) {
	packets := packet.NewOpaqueReader(bytes.NewReader(bare))
	for {
		p, err := packets.Next()
		if err != nil {
			return n
		}
		if p.Tag == tagPublicKey || p.Tag == tagSecretKey {
			n++
		}
	}
}

func fingerprint(e *openpgp.Entity) string { return fmt.Sprintf("%X", e.PrimaryKey.Fingerprint) }

// unlock decrypts the secret key e with a passphrase if it has one.
func unlock(e *openpgp.Entity, ask keyfile.Ask, conf *packet.Config) error {
	if !locked(e) {
		return nil
	}
	if ask == nil {
		return keyfile.ErrLocked
	}
	passphrase, err := ask(keyfile.Need{Means: keyfile.Passphrase, Hint: "key " + nameOf(e, conf)})
	if err != nil {
		return err
	}
	defer passphrase.Destroy()
	if err := e.DecryptPrivateKeys(passphrase.Reveal()); err != nil {
		return envelope.ErrWrongKey
	}
	return nil
}

// locked reports whether a part of the secret key is protected.
func locked(e *openpgp.Entity) bool {
	if usable(e.PrivateKey) && e.PrivateKey.Encrypted {
		return true
	}
	for _, s := range e.Subkeys {
		if usable(s.PrivateKey) && s.PrivateKey.Encrypted {
			return true
		}
	}
	return false
}

// usable reports whether the secret is there: a dummy says that it is on a card or was taken away.
func usable(p *packet.PrivateKey) bool { return p != nil && !p.Dummy() }
