package pskc

import (
	"bytes"
	"crypto/hmac"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// What a container's encryption can be that nothing is read of. They end the reading of a file.
var (
	ErrCertificate  = errors.New("the secrets are encrypted to a certificate's key: ask for a file with a pre-shared key or a password")
	ErrMACReference = errors.New("the file names its MAC key and does not hold it: ask for a file with a MACKey")
	ErrWrongKey     = errors.New("the key or passphrase does not open this file")
)

// vault is how the values of one container are encrypted, and what opens them. Nothing is asked for before the first
// encrypted value.
type vault struct {
	ask         keyfile.Ask
	keyName     string
	certificate bool
	derived     derivation
	mac         macMethod
	draft       draftMethod

	key     secret.Bytes
	macKeys []secret.Bytes // the MAC key; more than one while its padding is in doubt
	doubt   bool           // nothing yet proved the MAC key right
}

// macMethod is what proves the values.
type macMethod struct {
	algorithm string // "": none
	reference bool   // MACKeyReference
	key       *crypt // nil: the encryption key doubles
}

// draftMethod is the encryption of the drafts before RFC 6030: one algorithm and one initialization vector for all values, and
// a digest over the plain bytes. Source: reference key-files.md §9 (ActivIdentity).
type draftMethod struct {
	algorithm string
	iv        []byte
}

// crypt is one encrypted value.
type crypt struct {
	algorithm string
	data      []byte
	mac       []byte // nil: none
}

func (v *vault) destroy() {
	v.key.Destroy()
	for _, k := range v.macKeys {
		k.Destroy()
	}
}

// open implements visitor for the elements before the packages.
func (v *vault) open(path string, attrs []xml.Attr, _ int) {
	switch algorithm := attr(attrs, "algorithm"); path {
	case "encryptionkey/derivedkey":
		v.derived.used = true
	case "encryptionkey/derivedkey/keyderivationmethod":
		v.derived.method = algorithm
	case "encryptionkey/derivedkey/keyderivationmethod/pbkdf2-params/prf":
		v.derived.prf = algorithm
	case "encryptionkey/x509data", "encryptionkey/encryptedkey":
		v.certificate = true
	case "encryptionmethod":
		v.draft.algorithm = algorithm
	case "macmethod", "digestmethod":
		v.mac.algorithm = algorithm
	case "macmethod/mackeyreference":
		v.mac.reference = true
	case "macmethod/mackey":
		v.mac.key = &crypt{}
	case "macmethod/mackey/encryptionmethod":
		v.mac.key.algorithm = algorithm
	}
}

// close implements visitor.
func (v *vault) close(path string, text []byte, _ int) {
	switch path {
	case "encryptionkey/keyname", "encryptionkey/derivedkey/masterkeyname":
		if s := string(text); keyfile.BadText(s) == "" {
			v.keyName = s
		}
	case "macalgorithm":
		v.mac.algorithm = string(text)
	case "macmethod/mackey/cipherdata/ciphervalue":
		v.mac.key.data, _ = unbase64(text) // what is not base64 opens nothing
	case "encryptionmethod/iv":
		v.draft.iv, _ = unbase64(text)
	}
	if strings.HasPrefix(path, "encryptionkey/derivedkey/") {
		v.derived.set(path, string(text))
	}
}

// reveal is the plain value of c, which the caller owns, and how it was padded. A cause is about this value alone, an error
// about the file. The MAC is checked before anything is decrypted; the drafts' digest can be checked only afterwards.
func (v *vault) reveal(c *crypt) (plain []byte, p padding, cause string, err error) {
	if err := v.unlock(); err != nil {
		return nil, 0, "", err
	}
	algorithm := c.algorithm
	if algorithm == "" {
		algorithm = v.draft.algorithm
	}
	s, known := schemes[fragment(algorithm)]
	switch {
	case !known:
		return nil, 0, "encrypted with an algorithm that this reader does not know", nil
	case s.keySize != v.key.Len():
		return nil, 0, "", fmt.Errorf("%w: it has %d bytes, and %d are needed", ErrWrongKey, v.key.Len(), s.keySize)
	case v.mac.algorithm == "" && c.mac != nil:
		return nil, 0, "it has a MAC, and the file does not say how to check it", nil
	case c.mac == nil && !s.wraps:
		return nil, 0, "encrypted without a MAC: nobody could tell whether it was changed on its way", nil
	}
	early := c.mac != nil && v.draft.algorithm == ""
	if early {
		if cause, err := v.check(c.data, c.mac); cause != "" || err != nil {
			return nil, 0, cause, err
		}
	}
	plain, p, ok := decrypt(s, v.key.Reveal(), v.draft.iv, c.data)
	if !ok {
		return nil, 0, "it does not decrypt: its length or its proof of integrity is wrong", nil
	}
	if c.mac != nil && !early {
		if cause, err = v.check(plain, c.mac); cause != "" || err != nil {
			clear(plain)
			return nil, 0, cause, err
		}
	}
	return plain, p, "", nil
}

// decrypt is scheme.decrypt without the padding.
func decrypt(s scheme, key, iv, data []byte) (plain []byte, p padding, ok bool) {
	plain, ok = s.decrypt(key, iv, data)
	if !ok || s.wraps {
		return plain, padStrict, ok
	}
	size, p := unpadded(plain, blockSize(s))
	clear(plain[size:])
	return plain[:size], p, true
}

func blockSize(s scheme) int {
	b, err := s.block(make([]byte, s.keySize))
	if err != nil {
		return 0
	}
	return b.BlockSize()
}

// unlock gets the key, once.
func (v *vault) unlock() error {
	switch {
	case v.key.Len() > 0:
		return nil
	case v.certificate:
		return ErrCertificate
	case v.mac.reference:
		return ErrMACReference
	case v.ask == nil:
		return keyfile.ErrLocked
	}
	if _, ok := hmacOf(v.mac.algorithm); !ok && v.mac.algorithm != "" {
		return errors.New("its MAC is of a kind that this reader does not know")
	}
	key, err := v.obtain()
	if err != nil {
		return err
	}
	if v.macKeys, v.doubt, err = v.mac.keys(key); err != nil {
		key.Destroy()
		return err
	}
	v.key = key
	return nil
}

// obtain asks for the key or for the passphrase that it is made of.
func (v *vault) obtain() (key secret.Bytes, err error) {
	need := keyfile.Need{Means: keyfile.PresharedKey, Hint: v.keyName}
	var d pbkdf2Params
	if v.derived.used {
		need.Means = keyfile.Passphrase
		if d, err = v.derived.params(); err != nil { // before anybody types
			return key, err
		}
	}
	answer, err := v.ask(need)
	if err != nil {
		return key, fmt.Errorf("ask for the %s: %w", need.Means, err)
	}
	defer answer.Destroy()
	switch {
	case answer.Len() == 0:
		return key, keyfile.ErrLocked
	case v.derived.used:
		return d.key(answer)
	}
	return answer.Clone(), nil
}

// keys are what the MAC key can be, and whether that it was decrypted right is in doubt.
func (m macMethod) keys(key secret.Bytes) (keys []secret.Bytes, doubt bool, err error) {
	if m.key == nil {
		return []secret.Bytes{key.Clone()}, false, nil
	}
	s, ok := schemes[fragment(m.key.algorithm)]
	switch {
	case !ok:
		return nil, false, errors.New("its MAC key is encrypted with an algorithm that this reader does not know")
	case s.keySize != key.Len():
		return nil, false, fmt.Errorf("%w: it has %d bytes, and %d are needed", ErrWrongKey, key.Len(), s.keySize)
	}
	whole, ok := s.decrypt(key.Reveal(), nil, m.key.data)
	switch {
	case !ok && s.wraps:
		return nil, false, ErrWrongKey
	case !ok:
		return nil, false, errors.New("its MAC key is damaged")
	case s.wraps:
		return []secret.Bytes{secret.New(whole)}, false, nil
	}
	size, p := unpadded(whole, blockSize(s))
	if p == padStrict && size > 0 {
		clear(whole[size:])
		return []secret.Bytes{secret.New(whole[:size])}, false, nil
	}
	if p == padLoose && size > 0 {
		keys = append(keys, secret.Copy(whole[:size]))
	}
	return append(keys, secret.New(whole)), true, nil
}

// check compares a MAC. While the MAC key is in doubt, a mismatch means that the key is wrong.
func (v *vault) check(message, mac []byte) (cause string, err error) {
	h, _ := hmacOf(v.mac.algorithm) // unlock made sure
	for i, k := range v.macKeys {
		m := hmac.New(h, k.Reveal())
		m.Write(message)
		if hmac.Equal(m.Sum(nil), mac) {
			v.macKeys[0], v.macKeys[i] = v.macKeys[i], v.macKeys[0]
			for _, other := range v.macKeys[1:] {
				other.Destroy()
			}
			v.macKeys, v.doubt = v.macKeys[:1], false
			return "", nil
		}
	}
	if v.doubt {
		return "", ErrWrongKey
	}
	return "its MAC does not match: it was changed on its way, or the key is the wrong one", nil
}

// unbase64 reads base64 in which blanks may stand, and clears its copy of the text.
func unbase64(text []byte) ([]byte, bool) {
	packed := bytes.Join(bytes.Fields(text), nil)
	defer clear(packed)
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(packed)))
	n, err := base64.StdEncoding.Strict().Decode(raw, packed)
	if err != nil {
		clear(raw)
		return nil, false
	}
	return raw[:n], true
}
