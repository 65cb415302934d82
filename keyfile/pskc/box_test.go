package pskc

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// box writes encrypted containers of every kind that vendors do. It shares no code with the package.
type box struct {
	key    []byte
	scheme string // the part of its URI after #
	macURI string // "": no MACMethod
	mac    func() hash.Hash
	macKey []byte // nil: no MACKey
	pad    func(plain []byte, block int) []byte
	how    string // what stands in EncryptionKey
	where  string // "": ValueMAC in Secret; "beside": after it; "none"
	other  string // further elements of Data, with %s for nothing
}

// newBox is figure 6's way with its key.
func newBox() box {
	return box{key: figureKey(), scheme: "aes128-cbc", macURI: "http://www.w3.org/2000/09/xmldsig#hmac-sha1", mac: sha1.New,
		macKey: bytes.Repeat([]byte{0x11}, 20), pad: pkcs7, how: "<ds:KeyName>Pre-shared-key</ds:KeyName>"}
}

func figureKey() []byte {
	return []byte("\x12\x34\x56\x78\x90\x12\x34\x56\x78\x90\x12\x34\x56\x78\x90\x12")
}

func pkcs7(plain []byte, block int) []byte {
	n := block - len(plain)%block
	return append(bytes.Clone(plain), bytes.Repeat([]byte{byte(n)}, n)...)
}

// xmlenc fills with bytes that are no count.
func xmlenc(plain []byte, block int) []byte {
	p := pkcs7(plain, block)
	for i := len(plain); i < len(p)-1; i++ {
		p[i] = 0xEE
	}
	return p
}

func unchanged(plain []byte, _ int) []byte { return bytes.Clone(plain) }

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// encrypt gives the bytes of a CipherValue.
func (b box) encrypt(plain []byte) []byte {
	block, err := aes.NewCipher(b.key)
	if b.scheme == "tripledes-cbc" {
		block, err = des.NewTripleDESCipher(b.key)
	}
	if err != nil {
		panic(err)
	}
	if strings.HasPrefix(b.scheme, "kw-") {
		return wrap(block, plain)
	}
	data := b.pad(plain, block.BlockSize())
	iv := bytes.Repeat([]byte{0x5A}, block.BlockSize())
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(data, data)
	return append(iv, data...)
}

// wrap is RFC 3394 or, where the length wants it, RFC 5649, step by step as they are written.
func wrap(block cipher.Block, plain []byte) []byte {
	a := bytes.Repeat([]byte{0xA6}, 8)
	if len(plain)%8 != 0 {
		a = binary.BigEndian.AppendUint32([]byte{0xA6, 0x59, 0x59, 0xA6}, uint32(len(plain)))
		plain = append(bytes.Clone(plain), make([]byte, 8-len(plain)%8)...)
	}
	return wrapWith(block, a, plain)
}

// wrapWith wraps whole blocks after an initial value.
func wrapWith(block cipher.Block, initial, plain []byte) []byte {
	r := append(bytes.Clone(initial), plain...)
	n := len(plain) / 8
	if n == 1 {
		block.Encrypt(r, r)
		return r
	}
	for j := range 6 {
		for i := 1; i <= n; i++ {
			b := append(bytes.Clone(r[:8]), r[8*i:8*i+8]...)
			block.Encrypt(b, b)
			binary.BigEndian.PutUint64(r, binary.BigEndian.Uint64(b)^uint64(n*j+i))
			copy(r[8*i:], b[8:])
		}
	}
	return r
}

// value is the content of Secret or of a number, and a ValueMAC that stands beside.
func (b box) value(plain []byte) (inside, beside string) {
	data := b.encrypt(plain)
	inside = "<EncryptedValue>" + b.cipherData(data) + "</EncryptedValue>"
	if b.macURI == "" || b.where == "none" {
		return inside, ""
	}
	key := b.macKey
	if key == nil {
		key = b.key
	}
	m := hmac.New(b.mac, key)
	m.Write(data)
	text := "<ValueMAC>" + base64Of(m.Sum(nil)) + "</ValueMAC>"
	if b.where == "beside" {
		return inside, text
	}
	return inside + text, ""
}

func (b box) cipherData(data []byte) string {
	return `<xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#` + b.scheme + `"/><xenc:CipherData><xenc:CipherValue>` +
		base64Of(data) + "</xenc:CipherValue></xenc:CipherData>"
}

// open, pack and shut write a container: its head, a package, its end.
func (b box) open() string {
	s := `<KeyContainer Version="1.0" xmlns="` + namespace + `" xmlns:ds="d" xmlns:xenc="e" xmlns:xenc11="f" xmlns:pkcs5="g">` +
		"\n<EncryptionKey>" + b.how + "</EncryptionKey>\n"
	if b.macURI == "" {
		return s
	}
	s += `<MACMethod Algorithm="` + b.macURI + `">`
	if b.macKey != nil {
		s += "<MACKey>" + b.cipherData(b.encrypt(b.macKey)) + "</MACKey>"
	}
	return s + "</MACMethod>\n"
}

func (b box) pack(id string, seed []byte) string {
	inside, beside := b.value(seed)
	return `<KeyPackage><Key Id="` + id + `" Algorithm="` + algHOTP + `"><Data><Secret>` + inside + "</Secret>" + beside + b.other + "</Data></Key></KeyPackage>\n"
}

func (b box) file(seed []byte) string { return b.open() + b.pack("UBOM1", seed) + "</KeyContainer>" }

// unlocked reads with these answers; nil refuses.
func unlocked(key, passphrase []byte) keyfile.Reader {
	return Codec{}.Unlock(func(n keyfile.Need) (secret.Bytes, error) {
		switch {
		case n.Means == keyfile.PresharedKey && key != nil:
			return secret.Copy(key), nil
		case n.Means == keyfile.Passphrase && passphrase != nil:
			return secret.Copy(passphrase), nil
		}
		return secret.Bytes{}, fmt.Errorf("nobody has the %s %q", n.Means, n.Hint)
	})
}

// seedOf is the key of the one record in text.
func seedOf(t *testing.T, r keyfile.Reader, name, text string) (rec keyfile.Record) {
	t.Helper()
	recs, errs := sample.Decode(r, text)
	if len(errs) > 0 || len(recs) != 1 {
		t.Errorf("%s: %d records, %v", name, len(recs), errs)
		return rec
	}
	return recs[0]
}

// dice are the same random bytes in every run.
func dice() io.Reader { return rand.NewChaCha8([32]byte{'t', 'e', 's', 't'}) }
