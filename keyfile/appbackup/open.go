package appbackup

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// All encrypted backups are AES-256-GCM with a nonce of 12 bytes and a tag of 16.
const (
	keySize   = 32
	nonceSize = 12
	tagSize   = 16
)

// askPassphrase obtains the passphrase of a locked file.
func askPassphrase(ask keyfile.Ask) (secret.Bytes, error) {
	if ask == nil {
		return secret.Bytes{}, keyfile.ErrLocked
	}
	p, err := ask(keyfile.Need{Means: keyfile.Passphrase})
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("ask for the passphrase: %w", err)
	}
	return p, nil
}

// openGCM opens sealed, which ends in its tag. The error is ErrPassphrase.
func openGCM(key, nonce, sealed []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, ErrPassphrase
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil || len(nonce) != nonceSize {
		return nil, ErrPassphrase
	}
	plain, err := gcm.Open(nil, nonce, sealed, nil)
	if err != nil {
		return nil, ErrPassphrase
	}
	return plain, nil
}
