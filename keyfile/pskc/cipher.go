package pskc

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"slices"
	"strings"
)

// scheme is a way to encrypt a value: CBC with the initialization vector in front, or a key wrap.
type scheme struct {
	keySize int // bytes
	block   func(key []byte) (cipher.Block, error)
	wraps   bool // has its own proof of integrity
}

// schemes are known by the part of their URI after #. Source: XML Encryption 1.1 §5.2, §5.6; reference key-files.md §6.2.
var schemes = map[string]scheme{
	"aes128-cbc":     {16, aes.NewCipher, false},
	"aes192-cbc":     {24, aes.NewCipher, false},
	"aes256-cbc":     {32, aes.NewCipher, false},
	"tripledes-cbc":  {24, des.NewTripleDESCipher, false},
	"kw-aes128":      {16, aes.NewCipher, true},
	"kw-aes192":      {24, aes.NewCipher, true},
	"kw-aes256":      {32, aes.NewCipher, true},
	"kw-aes-128-pad": {16, aes.NewCipher, true},
	"kw-aes-192-pad": {24, aes.NewCipher, true},
	"kw-aes-256-pad": {32, aes.NewCipher, true},
}

// fragment is the part of an algorithm's URI that tells it from others, in lower case.
func fragment(uri string) string {
	return strings.ToLower(strings.TrimSpace(uri[strings.LastIndexByte(uri, '#')+1:]))
}

// hashFunctions are known by their name without hyphens.
var hashFunctions = map[string]func() hash.Hash{"sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}

// hmacOf is the hash in the URI of an HMAC, "…#hmac-sha256" or PKCS #5's "hmacWithSHA256".
func hmacOf(uri string) (func() hash.Hash, bool) {
	name, ok := strings.CutPrefix(strings.ReplaceAll(fragment(uri), "-", ""), "hmac")
	h, known := hashFunctions[strings.TrimPrefix(name, "with")]
	return h, ok && known
}

// decrypt gives the plain bytes, still padded where the scheme pads; ok says that lengths and, for a wrap, the proof of
// integrity are right. iv is nil when it stands in front of data. The result is the caller's to plain.
func (s scheme) decrypt(key, iv, data []byte) (plain []byte, ok bool) {
	b, err := s.block(key)
	if err != nil {
		return nil, false
	}
	if s.wraps {
		return unwrap(b, data)
	}
	if iv == nil {
		n := min(b.BlockSize(), len(data))
		iv, data = data[:n], data[n:]
	}
	if len(iv) != b.BlockSize() || len(data) == 0 || len(data)%b.BlockSize() != 0 {
		return nil, false
	}
	plain = make([]byte, len(data))
	cipher.NewCBCDecrypter(b, iv).CryptBlocks(plain, data)
	return plain, true
}

// padding is what stands at the end of a CBC value.
type padding int

const (
	padStrict padding = iota // PKCS #7: n bytes of the value n
	padLoose                 // XML Encryption §5.2: any bytes, the last one n
	padNone                  // a vendor's dialect: a secret of whole blocks
)

// unpadded is how much of the plain bytes is the value, and by which rule.
func unpadded(plain []byte, block int) (size int, p padding) {
	n := int(plain[len(plain)-1])
	switch size = len(plain) - n; {
	case n < 1 || n > block:
		return len(plain), padNone
	case bytes.Count(plain[size:], plain[len(plain)-1:]) == n:
		return size, padStrict
	}
	return size, padLoose
}

// usualSeeds are lengths of seeds in bytes. Random padding of another length cannot be told from a secret without padding
// that happens to end in a small byte.
func usualSeed(n int) bool { return slices.Contains([]int{10, 16, 20, 24, 28, 32, 48, 64}, n) }

// unwrap is AES key unwrap with the initial value of RFC 3394 §2.2.3.1 or, for lengths that are no multiple of 8, the one of
// RFC 5649 §3.
func unwrap(b cipher.Block, data []byte) (plain []byte, ok bool) {
	const half = 8
	n := len(data)/half - 1
	if n < 1 || len(data)%half != 0 {
		return nil, false
	}
	r := slices.Clone(data)
	var in [2 * half]byte
	if n == 1 {
		b.Decrypt(r, r)
	} else {
		for t := uint64(6 * n); t > 0; t-- {
			i := half * int((t-1)%uint64(n)+1)
			binary.BigEndian.PutUint64(in[:], binary.BigEndian.Uint64(r)^t)
			copy(in[half:], r[i:])
			b.Decrypt(in[:], in[:])
			copy(r, in[:half])
			copy(r[i:], in[half:])
		}
	}
	initial, rest := r[:half], r[half:]
	if n > 1 && subtle.ConstantTimeCompare(initial, bytes.Repeat([]byte{0xA6}, half)) == 1 {
		return rest, true
	}
	size := int64(binary.BigEndian.Uint32(initial[4:]))
	if binary.BigEndian.Uint32(initial) != 0xA65959A6 || size > int64(len(rest)) || size <= int64(len(rest)-half) ||
		bytes.Count(rest[size:], []byte{0}) != len(rest)-int(size) {
		return nil, false
	}
	return rest[:size], true
}
