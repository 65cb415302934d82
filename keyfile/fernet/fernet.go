// Package fernet is a Fernet token: AES-128-CBC with PKCS#7 padding under an HMAC-SHA256, as one line of base64url.
//
//	version      1 byte, 0x80
//	time         8 bytes, seconds since 1970, big-endian
//	IV           16 bytes
//	ciphertext   a multiple of 16 bytes, 16 at least
//	HMAC         32 bytes, over everything before it
//
// The key is 32 bytes, the first 16 for the HMAC and the last 16 for AES, written as base64url with its padding. Nothing is
// decrypted before the HMAC is found right. The whole text is in memory: the caller bounds it.
// Source: github.com/fernet/spec, Spec.md.
package fernet

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Sizes in bytes.
const (
	KeySize = 32
	half    = KeySize / 2

	version  = 0x80
	timeSize = 8
	headSize = 1 + timeSize + aes.BlockSize
	minSize  = headSize + aes.BlockSize + sha256.Size
)

// What a token and a key can be that do not fit.
var (
	ErrOpen = errors.New("no Fernet token of this key: it was changed or cut, or the key is another")
	ErrKey  = errors.New("a Fernet key is 32 bytes, as 44 characters of base64url")
)

// base64url with padding, and no other bits set than those of the text.
var encoding = base64.URLEncoding.Strict()

// ParseKey reads a key from its text, with or without a line end, or takes KeySize raw bytes. The caller keeps text.
func ParseKey(text []byte) (secret.Bytes, error) {
	if len(text) == KeySize {
		return secret.Copy(text), nil
	}
	for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r') {
		text = text[:len(text)-1]
	}
	key := make([]byte, encoding.DecodedLen(len(text)))
	n, err := encoding.Decode(key, text)
	if err != nil || n != KeySize || len(text) != encoding.EncodedLen(KeySize) {
		clear(key)
		return secret.Bytes{}, ErrKey
	}
	return secret.New(key[:n]), nil
}

// KeyText is the text of a key as Fernet's other implementations take it: 44 characters. The caller destroys it.
func KeyText(key secret.Bytes) secret.Bytes {
	return secret.New(encoding.AppendEncode(nil, key.Reveal()))
}

// Seal makes a token. random is crypto/rand.Reader outside tests; the caller keeps text.
func Seal(key secret.Bytes, now time.Time, random io.Reader, text []byte) ([]byte, error) {
	block, err := blockOf(key)
	if err != nil {
		return nil, err
	}
	padding := aes.BlockSize - len(text)%aes.BlockSize
	out := make([]byte, headSize+len(text)+padding, headSize+len(text)+padding+sha256.Size)
	out[0] = version
	binary.BigEndian.PutUint64(out[1:], uint64(now.Unix()))
	iv := out[1+timeSize : headSize]
	if _, err := io.ReadFull(random, iv); err != nil {
		return nil, fmt.Errorf("fernet: draw IV: %w", err)
	}
	body := out[headSize:]
	copy(body, text)
	for i := len(text); i < len(body); i++ {
		body[i] = byte(padding)
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(body, body)
	out = append(out, mac(key, out)...)
	return encoding.AppendEncode(nil, out), nil
}

// Open returns the text of a token, with or without a line end, and the time that its maker wrote into it. How old a token
// may be is the caller's question. The errors are ErrOpen and ErrKey; the caller destroys the text.
func Open(key secret.Bytes, token []byte) (secret.Bytes, time.Time, error) {
	block, err := blockOf(key)
	if err != nil {
		return secret.Bytes{}, time.Time{}, err
	}
	raw := make([]byte, encoding.DecodedLen(len(token)))
	n, err := encoding.Decode(raw, token) // skips CR and LF
	raw = raw[:n]
	if err != nil || n < minSize || (n-headSize-sha256.Size)%aes.BlockSize != 0 || raw[0] != version {
		return secret.Bytes{}, time.Time{}, ErrOpen
	}
	signed, sum := raw[:n-sha256.Size], raw[n-sha256.Size:]
	if !hmac.Equal(mac(key, signed), sum) {
		return secret.Bytes{}, time.Time{}, ErrOpen
	}
	body := signed[headSize:]
	cipher.NewCBCDecrypter(block, signed[1+timeSize:headSize]).CryptBlocks(body, body)
	padding := int(body[len(body)-1])
	if padding < 1 || padding > aes.BlockSize {
		clear(body)
		return secret.Bytes{}, time.Time{}, ErrOpen
	}
	for _, b := range body[len(body)-padding:] {
		if int(b) != padding {
			clear(body)
			return secret.Bytes{}, time.Time{}, ErrOpen
		}
	}
	made := time.Unix(int64(binary.BigEndian.Uint64(signed[1:])), 0).UTC()
	return secret.New(body[:len(body)-padding]), made, nil
}

func blockOf(key secret.Bytes) (cipher.Block, error) {
	if key.Len() != KeySize {
		return nil, ErrKey
	}
	return aes.NewCipher(key.Reveal()[half:])
}

func mac(key secret.Bytes, signed []byte) []byte {
	h := hmac.New(sha256.New, key.Reveal()[:half])
	h.Write(signed)
	return h.Sum(nil)
}
