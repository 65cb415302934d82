package pivapplet_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"sync"

	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
)

// drawn are RSA keys that are made once for all tests of the process.
var drawn = sync.OnceValue(func() map[pivapplet.Algorithm]crypto.PrivateKey {
	keys := map[pivapplet.Algorithm]crypto.PrivateKey{}
	for alg, bits := range map[pivapplet.Algorithm]int{pivapplet.RSA1024: 1024, pivapplet.RSA2048: 2048, pivapplet.RSA3072: 3072} {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		keys[alg] = k
	}
	return keys
})

// pool is Options.NewKey with RSA keys that cost nothing.
func pool() func(pivapplet.Algorithm) crypto.PrivateKey {
	return func(alg pivapplet.Algorithm) crypto.PrivateKey { return drawn()[alg] }
}
