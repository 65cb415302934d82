package ykslot

import (
	"crypto/hmac"
	"crypto/sha1"
)

// hmacOf is HMAC-SHA1.
func hmacOf(key, message []byte) [sha1.Size]byte {
	m := hmac.New(sha1.New, key)
	m.Write(message)
	return [sha1.Size]byte(m.Sum(nil))
}
