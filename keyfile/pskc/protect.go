package pskc

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"strconv"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Sizes of what a protected file is made with. Source: reference key-files.md §0 fact 14, §6.2.
const (
	PresharedKeySize  = 16      // bytes: AES-128
	DefaultIterations = 100_000 // of PBKDF2-HMAC-SHA1; fewer are refused
	MinPassword       = 8       // printable ASCII characters
	MaxPassword       = 64      // LinOTP's limit

	saltSize   = 16
	macKeySize = 20 // of HMAC-SHA1
)

// Protection encrypts the secrets of a written file the one way that privacyIDEA, LinOTP, FreeIPA and python-pskc all read:
// AES-128-CBC with PKCS #7 padding and HMAC-SHA1 under a MAC key of the file's own. Everything but the secret stays in clear,
// the private ID of a Yubico OTP too. Set Key or Password, and Random; the zero value writes plain files.
type Protection struct {
	Key        secret.Bytes // PresharedKeySize bytes. privacyIDEA and LinOTP want them typed in hexadecimal, FreeIPA raw in a file
	Password   secret.Bytes // MinPassword to MaxPassword printable ASCII characters, because LinOTP takes no others
	Name       string       // what the file calls the key or password; "" is a general name
	Iterations int          // 0 is DefaultIterations
	Random     io.Reader    // crypto/rand.Reader outside tests
}

// What a Protection can lack.
var (
	ErrPresharedKey = errors.New("pskc: a pre-shared key has 16 bytes")
	ErrPassword     = errors.New("pskc: a password has 8 to 64 printable ASCII characters")
	ErrProtection   = errors.New("pskc: a protection takes a key or a password, a source of randomness, a printable name and 100000 to 10000000 iterations")
)

func (p Protection) used() bool { return p.Key.Len() > 0 || p.Password.Len() > 0 }

func (p Protection) check() error {
	switch {
	case p.Key.Len() > 0 && p.Password.Len() > 0, p.Random == nil, keyfile.BadText(p.Name) != "",
		p.Iterations != 0 && (p.Iterations < DefaultIterations || p.Iterations > maxIterations):
		return ErrProtection
	case p.Key.Len() > 0 && p.Key.Len() != PresharedKeySize:
		return ErrPresharedKey
	case p.Password.Len() == 0:
		return nil
	case p.Password.Len() < MinPassword || p.Password.Len() > MaxPassword:
		return ErrPassword
	}
	for _, c := range p.Password.Reveal() {
		if c < ' ' || c > '~' {
			return ErrPassword
		}
	}
	return nil
}

// answer is the Ask of whoever has the protection itself.
func (p Protection) answer(n keyfile.Need) (secret.Bytes, error) {
	if n.Means == keyfile.Passphrase {
		return p.Password.Clone(), nil
	}
	return p.Key.Clone(), nil
}

// sealer encrypts the values of one file.
type sealer struct {
	random io.Reader
	block  cipher.Block
	macKey secret.Bytes
	iv     [aes.BlockSize]byte // drawn for the next value
}

// seal begins a file: a fresh MAC key and, for a password, a fresh salt. The text is what stands before the first package.
func (p Protection) seal() (s *sealer, head string, err error) {
	if err := p.check(); err != nil {
		return nil, "", err
	}
	key, how, err := p.key()
	if err != nil {
		return nil, "", err
	}
	defer key.Destroy()
	s = &sealer{random: p.Random}
	if s.block, err = aes.NewCipher(key.Reveal()); err != nil {
		return nil, "", err
	}
	if s.macKey, err = secret.Random(p.Random, macKeySize); err != nil {
		return nil, "", err
	}
	if err := s.draw(); err != nil {
		return nil, "", err
	}
	b := bytes.NewBufferString(" <pskc:EncryptionKey>\n" + how + " </pskc:EncryptionKey>\n" +
		` <pskc:MACMethod Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1">` + "\n  <pskc:MACKey>\n")
	s.encrypt(b, "   ", s.macKey.Reveal())
	b.WriteString("  </pskc:MACKey>\n </pskc:MACMethod>\n")
	return s, b.String(), nil
}

// key is the encryption key, and what the file says about it. The children of PBKDF2-params have no namespace, as in RFC 6030
// figure 7: FreeIPA finds them only so. It reads its key file only if the key has a name.
func (p Protection) key() (key secret.Bytes, how string, err error) {
	if p.Key.Len() > 0 {
		return p.Key.Clone(), "  <ds:KeyName>" + escapeXML(nameOr(p.Name, "Pre-shared-key")) + "</ds:KeyName>\n", nil
	}
	salt, err := secret.Random(p.Random, saltSize)
	if err != nil {
		return secret.Bytes{}, "", err
	}
	d := pbkdf2Params{prf: sha1.New, salt: salt.Reveal(), rounds: p.Iterations, size: PresharedKeySize}
	if d.rounds == 0 {
		d.rounds = DefaultIterations
	}
	how = "  <xenc11:DerivedKey>\n   <xenc11:KeyDerivationMethod Algorithm=\"" + methodPBKDF2 + "\">\n    <pkcs5:PBKDF2-params>\n" +
		"     <Salt><Specified>" + base64.StdEncoding.EncodeToString(d.salt) + "</Specified></Salt>\n" +
		"     <IterationCount>" + strconv.Itoa(d.rounds) + "</IterationCount>\n     <KeyLength>" + strconv.Itoa(d.size) + "</KeyLength>\n" +
		"     <PRF/>\n    </pkcs5:PBKDF2-params>\n   </xenc11:KeyDerivationMethod>\n" +
		"   <xenc11:MasterKeyName>" + escapeXML(nameOr(p.Name, "Password")) + "</xenc11:MasterKeyName>\n  </xenc11:DerivedKey>\n"
	key, err = d.key(p.Password)
	return key, how, err
}

func nameOr(name, general string) string {
	if name == "" {
		return general
	}
	return name
}

// draw gets the initialization vector of the next value, so that writing it cannot fail.
func (s *sealer) draw() error {
	iv, err := secret.Random(s.random, len(s.iv))
	copy(s.iv[:], iv.Reveal())
	return err
}

// encrypt writes xenc:EncryptionMethod and xenc:CipherData and returns the bytes that are in it, the vector in front.
func (s *sealer) encrypt(b *bytes.Buffer, indent string, plain []byte) []byte {
	n := aes.BlockSize - len(plain)%aes.BlockSize
	padded := append(append(make([]byte, 0, len(plain)+n), plain...), bytes.Repeat([]byte{byte(n)}, n)...)
	defer clear(padded)
	data := append(s.iv[:len(s.iv):len(s.iv)], make([]byte, len(padded))...)
	cipher.NewCBCEncrypter(s.block, s.iv[:]).CryptBlocks(data[len(s.iv):], padded)
	b.WriteString(indent + `<xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>` + "\n" +
		indent + "<xenc:CipherData><xenc:CipherValue>" + base64.StdEncoding.EncodeToString(data) + "</xenc:CipherValue></xenc:CipherData>\n")
	return data
}

// appendSecret writes Secret's content. LinOTP reads ValueMAC only inside Secret.
func (s *sealer) appendSecret(b *bytes.Buffer, key []byte) {
	b.WriteString("\n     <pskc:EncryptedValue>\n")
	data := s.encrypt(b, "      ", key)
	m := hmac.New(sha1.New, s.macKey.Reveal())
	m.Write(data)
	b.WriteString("     </pskc:EncryptedValue>\n     <pskc:ValueMAC>" + base64.StdEncoding.EncodeToString(m.Sum(nil)) + "</pskc:ValueMAC>\n    ")
}
