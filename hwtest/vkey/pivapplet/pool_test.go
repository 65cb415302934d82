package pivapplet_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"sync"

	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
)

// drawn are RSA keys, each made once for all tests of the process.
var drawn = map[pivapplet.Algorithm]func() crypto.PrivateKey{
	pivapplet.RSA1024: draw(1024), pivapplet.RSA2048: draw(2048), pivapplet.RSA3072: draw(3072),
}

func draw(bits int) func() crypto.PrivateKey {
	return sync.OnceValue(func() crypto.PrivateKey {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		return k
	})
}

// pool is Options.NewKey with RSA keys that cost nothing.
func pool() func(pivapplet.Algorithm) crypto.PrivateKey {
	return func(alg pivapplet.Algorithm) crypto.PrivateKey {
		if key := drawn[alg]; key != nil {
			return key()
		}
		return nil
	}
}
