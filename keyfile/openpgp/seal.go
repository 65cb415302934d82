package openpgp

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/envelope"
)

// checkRecipient says why nothing can be encrypted to a key.
func checkRecipient(e *openpgp.Entity, conf *packet.Config) error {
	if _, err := e.EncryptionKeyWithError(conf.Now(), conf); err != nil {
		return fmt.Errorf("openpgp: nothing can be encrypted to the key %s: %w", nameOf(e, conf), err)
	}
	return nil
}

// signingKey readies the one secret key of a file for signing.
func signingKey(k Keys, ask keyfile.Ask, conf *packet.Config) (*openpgp.Entity, error) {
	if k.Len() != 1 {
		return nil, fmt.Errorf("openpgp: the file of the signer holds %d keys and not one", k.Len())
	}
	e := k.list()[0]
	key, ok := e.SigningKey(conf.Now(), conf)
	if !ok {
		return nil, fmt.Errorf("openpgp: the key %s cannot sign: it is too weak, expired, revoked or not made for it", nameOf(e, conf))
	}
	if !usable(key.PrivateKey) {
		return nil, fmt.Errorf("openpgp: sign with %s: %w", nameOf(e, conf), ErrNoSecretKey)
	}
	if err := unlock(e, ask, conf); err != nil {
		return nil, fmt.Errorf("openpgp: sign with %s: %w", nameOf(e, conf), err)
	}
	return e, nil
}

// Envelope says to whom a message goes and who signs it.
type Envelope struct {
	To     Keys             // public keys, each of which opens it; none: it is signed only, and everybody can read it
	Signer Keys             // one secret key; none: unsigned
	Ask    keyfile.Ask      // for the passphrase of the signer's key
	Now    func() time.Time // nil: the system's clock
}

// Seal begins a message. Close ends it; it does not close w. Without recipients and without a signer there is no message.
// A recipient's key that is expired, revoked or too weak refuses all.
func (v Envelope) Seal(w io.Writer) (io.WriteCloser, error) {
	conf := config(v.Now)
	if v.To.Len() == 0 && v.Signer.Len() == 0 {
		return nil, errors.New("openpgp: neither recipients nor a signer")
	}
	for _, e := range v.To.list() {
		if err := checkRecipient(e, conf); err != nil {
			return nil, err
		}
	}
	var signers []*openpgp.Entity
	if v.Signer.Len() > 0 {
		e, err := signingKey(v.Signer, v.Ask, conf)
		if err != nil {
			return nil, err
		}
		signers = append(signers, e)
	}
	outer, err := armor.EncodeWithChecksumOption(w, kind, nil, true) // older programs than gpg want the CRC
	if err != nil {
		return nil, fmt.Errorf("openpgp: %w", err)
	}
	var inner io.WriteCloser
	if v.To.Len() > 0 {
		inner, err = openpgp.Encrypt(outer, v.To.list(), nil, signers, nil, conf)
	} else {
		inner, err = openpgp.Sign(outer, signers, nil, conf)
	}
	if err != nil {
		return nil, fmt.Errorf("openpgp: %w", err)
	}
	return envelope.Chain(inner, &ended{outer, w}), nil
}

// ended adds the line end that the library leaves out.
type ended struct {
	io.WriteCloser
	w io.Writer
}

// Close implements io.Closer.
func (e *ended) Close() error {
	if err := e.WriteCloser.Close(); err != nil {
		return err
	}
	_, err := io.WriteString(e.w, "\n")
	return err
}
