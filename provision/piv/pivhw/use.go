//go:build (cgo || windows) && !nopcsc

package pivhw

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"fmt"
	"io"

	pivgo "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/piv"
)

// key is a key in a slot. Its PIN is verified by VerifyPIN, never by piv-go.
type key struct {
	ctx    context.Context //nolint:containedctx // crypto.Signer and ecdh.KeyExchanger have no room for one
	card   *Card
	slot   piv.Slot
	public crypto.PublicKey
}

// use runs f with piv-go's key.
func (k key) use(f func(crypto.PrivateKey) ([]byte, error)) ([]byte, error) {
	b, err := theirs(k.ctx, k.card, secret.Bytes{}, func(yk *pivgo.YubiKey, _ []byte) ([]byte, error) {
		private, err := yk.PrivateKey(libSlot(k.slot), k.public, pivgo.KeyAuth{}) // without a PIN it sends none, and asks for none
		if err != nil {
			return nil, err
		}
		return f(private)
	})
	if err != nil {
		return nil, fmt.Errorf("slot %v: %w", k.slot, err)
	}
	return b, nil
}

// signer is a key that signs.
type signer struct{ key }

// Public implements crypto.Signer.
func (s signer) Public() crypto.PublicKey { return s.public }

// Sign implements crypto.Signer.
func (s signer) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.use(func(private crypto.PrivateKey) ([]byte, error) {
		k, ok := private.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("a key of %T does not sign", s.public)
		}
		return k.Sign(rand, digest, opts)
	})
}

// exchanger is a key that agrees on keys.
type exchanger struct {
	key
	point *ecdh.PublicKey
}

// PublicKey implements ecdh.KeyExchanger.
func (e exchanger) PublicKey() *ecdh.PublicKey { return e.point }

// Curve implements ecdh.KeyExchanger.
func (e exchanger) Curve() ecdh.Curve { return e.point.Curve() }

// ECDH implements ecdh.KeyExchanger.
func (e exchanger) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	return e.use(func(private crypto.PrivateKey) ([]byte, error) {
		k, ok := private.(interface {
			ECDH(*ecdh.PublicKey) ([]byte, error)
		})
		if !ok {
			return nil, fmt.Errorf("a key of %T does not agree on keys", e.public)
		}
		return k.ECDH(peer)
	})
}

// Signer implements piv.Keys.
func (c *Card) Signer(ctx context.Context, s piv.Slot, public crypto.PublicKey) (crypto.Signer, error) {
	if a, ok := piv.AlgorithmOf(public); !ok || a == piv.X25519 {
		return nil, fmt.Errorf("slot %v: a key of %T does not sign", s, public)
	}
	return signer{key{ctx, c, s, public}}, nil
}

// Exchanger implements piv.Keys.
func (c *Card) Exchanger(ctx context.Context, s piv.Slot, public crypto.PublicKey) (ecdh.KeyExchanger, error) {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		point, err := k.ECDH()
		if err != nil {
			return nil, fmt.Errorf("slot %v: %w", s, err)
		}
		return exchanger{key{ctx, c, s, public}, point}, nil
	case *ecdh.PublicKey:
		if k.Curve() == ecdh.X25519() {
			return exchanger{key{ctx, c, s, public}, k}, nil
		}
		ec, err := ecdsaKey(k)
		if err != nil {
			return nil, fmt.Errorf("slot %v: %w", s, err)
		}
		return exchanger{key{ctx, c, s, ec}, k}, nil
	}
	return nil, fmt.Errorf("slot %v: a key of %T does not agree on keys", s, public)
}
