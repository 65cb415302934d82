package openpgp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/envelope"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Opener opens messages.
type Opener struct {
	Ask     keyfile.Ask      // for the secret key file, its passphrase, or the passphrase of the message
	Signers Keys             // public keys; with them a message without a good signature by one of them is ErrSignature
	Now     func() time.Time // nil: the system's clock
}

// Open returns the clear text of the message that src holds from its present position on; every byte of it is authenticated
// before the first is read (envelope.Twice). Info.Signer is who signed it, if that key is among the Signers or is the reader's
// own. Where a message takes a key as well as a passphrase, it asks for the passphrase if there is no key (keyfile.ErrLocked).
//
// The errors are those of this package, of envelope, of Ask and of src.
func (o Opener) Open(src io.ReadSeeker) (io.Reader, envelope.Info, error) {
	s := &session{opener: o, conf: config(o.Now)}
	defer func() { s.passphrase.Destroy() }()
	r, err := envelope.Twice(src, s.pass)
	if err != nil {
		return nil, s.info, fmt.Errorf("openpgp: %w", err)
	}
	return r, s.info, nil
}

// session is one message in its two passes.
type session struct {
	opener     Opener
	conf       *packet.Config
	ready      bool // the means were asked for
	keys       openpgp.EntityList
	passphrase secret.Bytes
	info       envelope.Info
}

// pass begins one pass.
func (s *session) pass(r io.Reader) (io.Reader, error) {
	b, m, err := peek(r)
	if err != nil {
		return nil, translate(err)
	}
	if !s.ready {
		if err := s.obtain(m); err != nil {
			return nil, err
		}
		s.ready = true
	}
	md, err := s.read(b)
	if err != nil {
		return nil, translate(err)
	}
	s.info.Encrypted, s.info.Signed = md.IsEncrypted, md.IsSigned
	if md.IsEncrypted && !strong(md.DecryptedWithAlgorithm) {
		return nil, ErrWeak
	}
	if !md.IsEncrypted && (!md.IsSigned || s.opener.Signers.Len() == 0) {
		return nil, ErrUnverified
	}
	return &verified{s, md}, nil
}

// strong are the ciphers with blocks of 128 bits.
func strong(c packet.CipherFunction) bool {
	return c == packet.CipherAES128 || c == packet.CipherAES192 || c == packet.CipherAES256
}

// obtain asks for what m wants.
func (s *session) obtain(m means) error {
	if !m.encrypted() {
		return nil
	}
	if s.opener.Ask == nil {
		return keyfile.ErrLocked
	}
	if len(m.keys) > 0 {
		err := s.obtainKey(m)
		if err == nil || !m.passphrase || !errors.Is(err, keyfile.ErrLocked) {
			return err
		}
	}
	var err error
	s.passphrase, err = s.opener.Ask(keyfile.Need{Means: keyfile.Passphrase})
	return err
}

// obtainKey asks for the secret key file, and unlocks the keys that the message is for.
func (s *session) obtainKey(m means) error {
	var hint []string
	for _, id := range m.keys {
		hint = append(hint, fmt.Sprintf("%016X", id))
	}
	file, err := s.opener.Ask(keyfile.Need{Means: keyfile.PrivateKey, Hint: strings.Join(hint, " or ")})
	if err != nil {
		return err
	}
	defer file.Destroy()
	keys, err := ReadKeys(file.Reveal())
	if err != nil {
		return err
	}
	for _, id := range m.keys {
		for _, e := range keys.list().EntitiesById(id) {
			s.keys = append(s.keys, e)
			if err := unlock(e, s.once(), s.conf); err != nil {
				return err
			}
		}
	}
	if len(s.keys) == 0 {
		return envelope.ErrWrongKey
	}
	for _, e := range s.keys {
		for _, k := range e.DecryptionKeys(0, time.Time{}, s.conf) {
			if usable(k.PrivateKey) {
				return nil
			}
		}
	}
	return ErrNoSecretKey
}

// once asks for one passphrase and repeats the answer for further keys of the file.
func (s *session) once() keyfile.Ask {
	return func(n keyfile.Need) (secret.Bytes, error) {
		if s.passphrase.Len() == 0 {
			answer, err := s.opener.Ask(n)
			if err != nil {
				return secret.Bytes{}, err
			}
			s.passphrase = answer
		}
		return s.passphrase.Clone(), nil
	}
}

// errSignatures leaves the library, which knows no limit, from the one place where it asks for something.
var errSignatures = errors.New("too many signatures")

// ring finds keys, a limited number of times.
type ring struct {
	openpgp.EntityList
	left int
}

// EntitiesById implements openpgp.KeyRing.
func (r *ring) EntitiesById(id uint64) []*openpgp.Entity {
	if r.left--; r.left < 0 {
		panic(errSignatures)
	}
	return r.EntityList.EntitiesById(id)
}

// read begins to decrypt.
func (s *session) read(r io.Reader) (md *openpgp.MessageDetails, err error) {
	defer func() {
		if p := recover(); p == errSignatures {
			md, err = nil, envelope.ErrBroken
		} else if p != nil {
			panic(p)
		}
	}()
	keys := &ring{append(append(openpgp.EntityList{}, s.opener.Signers.list()...), s.keys...), maxKeyPackets + maxSignatures}
	tried := false
	return openpgp.ReadMessage(r, keys, func(_ []openpgp.Key, symmetric bool) ([]byte, error) {
		if tried || !symmetric {
			return nil, envelope.ErrWrongKey
		}
		tried = true
		return bytes.Clone(s.passphrase.Reveal()), nil
	}, s.conf)
}

// verified is the clear text; it ends with io.EOF only if the whole message is good.
type verified struct {
	*session
	md *openpgp.MessageDetails
}

// Read implements io.Reader.
func (v *verified) Read(p []byte) (int, error) {
	n, err := v.md.UnverifiedBody.Read(p)
	if err == io.EOF {
		return n, v.end()
	}
	if err != nil {
		err = translate(err)
	}
	return n, err
}

// end judges the signature.
func (v *verified) end() error {
	v.info.Signer = ""
	switch {
	case !v.md.IsSigned && v.opener.Signers.Len() == 0:
		return io.EOF
	case !v.md.IsSigned:
		return ErrSignature
	case v.md.SignatureError == nil && v.md.SignedBy != nil:
		v.info.Signer = nameOf(v.md.SignedBy.Entity, v.conf)
		if !v.allowed(v.md.SignedBy.Entity) {
			return ErrSignature
		}
		return io.EOF
	case errors.Is(v.md.SignatureError, pgperrors.ErrUnknownIssuer) && v.opener.Signers.Len() == 0:
		return io.EOF // not verified
	}
	return ErrSignature
}

// allowed reports whether e is one of the signers that are wanted.
func (v *verified) allowed(e *openpgp.Entity) bool {
	for _, s := range v.opener.Signers.list() {
		if bytes.Equal(s.PrimaryKey.Fingerprint, e.PrimaryKey.Fingerprint) {
			return true
		}
	}
	return v.opener.Signers.Len() == 0
}

// translate makes our errors of the library's, which distinguish what no caller may.
func translate(err error) error {
	var unsupported pgperrors.UnsupportedError
	switch {
	case errors.Is(err, envelope.ErrWrongKey), errors.Is(err, ErrUnprotected), errors.Is(err, ErrWork):
		return err
	case errors.Is(err, pgperrors.ErrKeyIncorrect):
		return envelope.ErrWrongKey
	case errors.As(err, &unsupported) && strings.Contains(string(unsupported), "not integrity protected"):
		return ErrUnprotected
	}
	return envelope.ErrBroken
}
