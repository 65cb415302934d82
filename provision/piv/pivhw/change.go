//go:build (cgo || windows) && !nopcsc

package pivhw

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	pivgo "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// VerifyPIN implements piv.Credentials. A PIN that was refused is not sent to the card again.
func (c *Card) VerifyPIN(ctx context.Context, pin secret.Bytes) error {
	if c.wrong.pin.Len() > 0 && c.wrong.pin.Equal(pin) {
		return &piv.PINError{What: token.PIVPIN, Left: c.wrong.left}
	}
	text := string(pin.Reveal())
	c.proven = true
	err := c.do(ctx, func(yk *pivgo.YubiKey) error { return yk.VerifyPIN(text) })
	var wrong *piv.PINError
	if errors.As(err, &wrong) {
		c.wrong.pin.Destroy()
		c.wrong = refusal{pin.Clone(), wrong.Left}
		c.left = wrong.Left
	}
	c.verified = err == nil
	return err
}

// ChangePIN implements piv.Credentials.
func (c *Card) ChangePIN(ctx context.Context, old, fresh secret.Bytes) error {
	return c.change(ctx, token.PIVPIN, (*pivgo.YubiKey).SetPIN, old, fresh)
}

// ChangePUK implements piv.Credentials.
func (c *Card) ChangePUK(ctx context.Context, old, fresh secret.Bytes) error {
	return c.change(ctx, token.PIVPUK, (*pivgo.YubiKey).SetPUK, old, fresh)
}

// Unblock implements piv.Credentials.
func (c *Card) Unblock(ctx context.Context, puk, fresh secret.Bytes) error {
	return c.change(ctx, token.PIVPUK, (*pivgo.YubiKey).Unblock, puk, fresh)
}

// change runs what tries a PIN or PUK and sets a new one. A PIN that was refused before may be right now.
func (c *Card) change(ctx context.Context, what token.EscrowKind, f func(yk *pivgo.YubiKey, old, fresh string) error, old, fresh secret.Bytes) error {
	from, to := string(old.Reveal()), string(fresh.Reveal())
	err := c.do(ctx, func(yk *pivgo.YubiKey) error { return f(yk, from, to) })
	c.wrong.pin.Destroy()
	var wrong *piv.PINError
	switch {
	case errors.As(err, &wrong):
		return &piv.PINError{What: what, Left: wrong.Left}
	case errors.Is(err, apdu.WrongData), errors.Is(err, apdu.ConditionsNotSatisfied): // of firmware 5.7, for the new one
		return fmt.Errorf("%w: the key refuses the new one as too simple (%w)", piv.ErrPIN, err)
	}
	return err
}

// SetManagementKey implements piv.Credentials.
func (c *Card) SetManagementKey(ctx context.Context, old, fresh secret.Bytes) error {
	to := bytes.Clone(fresh.Reveal())
	_, err := theirs(ctx, c, old, func(yk *pivgo.YubiKey, from []byte) (struct{}, error) {
		defer clear(to)
		return struct{}{}, yk.SetManagementKey(from, to)
	})
	return err
}

// SetRetries implements piv.Credentials.
func (c *Card) SetRetries(ctx context.Context, management, pin secret.Bytes, pinTries, pukTries int) error {
	c.wrong.pin.Destroy()
	text := string(pin.Reveal())
	_, err := theirs(ctx, c, management, func(yk *pivgo.YubiKey, management []byte) (struct{}, error) {
		return struct{}{}, yk.SetRetries(management, text, pinTries, pukTries)
	})
	c.verified = false
	return err
}

// Reset implements piv.Credentials.
func (c *Card) Reset(ctx context.Context) error {
	c.wrong.pin.Destroy()
	err := c.do(ctx, (*pivgo.YubiKey).Reset)
	c.verified = false
	return err
}

// The numbers of piv-go.
var (
	algorithms = map[piv.Algorithm]pivgo.Algorithm{
		piv.P256: pivgo.AlgorithmEC256, piv.P384: pivgo.AlgorithmEC384, piv.Ed25519: pivgo.AlgorithmEd25519, piv.X25519: pivgo.AlgorithmX25519,
		piv.RSA1024: pivgo.AlgorithmRSA1024, piv.RSA2048: pivgo.AlgorithmRSA2048, piv.RSA3072: pivgo.AlgorithmRSA3072, piv.RSA4096: pivgo.AlgorithmRSA4096,
	}
	pinPolicies = map[piv.PINPolicy]pivgo.PINPolicy{
		piv.PINNever: pivgo.PINPolicyNever, piv.PINOnce: pivgo.PINPolicyOnce, piv.PINAlways: pivgo.PINPolicyAlways,
		piv.PINMatchOnce: pivgo.PINPolicyMatchOnce, piv.PINMatchAlways: pivgo.PINPolicyMatchAlways,
	}
	touchPolicies = map[piv.TouchPolicy]pivgo.TouchPolicy{
		piv.TouchNever: pivgo.TouchPolicyNever, piv.TouchAlways: pivgo.TouchPolicyAlways, piv.TouchCached: pivgo.TouchPolicyCached,
	}
)

func libSlot(s piv.Slot) pivgo.Slot {
	return pivgo.Slot{Key: uint32(s), Object: uint32(s.Object())}
}

// Generate implements piv.Keys.
func (c *Card) Generate(ctx context.Context, management secret.Bytes, s piv.Slot, k piv.KeySpec) (crypto.PublicKey, error) {
	spec := pivgo.Key{Algorithm: algorithms[k.Algorithm], PINPolicy: pinPolicies[k.PIN], TouchPolicy: touchPolicies[k.Touch]}
	return theirs(ctx, c, management, func(yk *pivgo.YubiKey, management []byte) (crypto.PublicKey, error) {
		return yk.GenerateKey(management, libSlot(s), spec)
	})
}

// SetCertificate implements piv.Keys.
func (c *Card) SetCertificate(ctx context.Context, management secret.Bytes, s piv.Slot, cert *x509.Certificate) error {
	if cert == nil {
		return c.PutObject(ctx, management, s.Object(), nil)
	}
	_, err := theirs(ctx, c, management, func(yk *pivgo.YubiKey, management []byte) (struct{}, error) {
		return struct{}{}, yk.SetCertificate(management, libSlot(s), cert)
	})
	return err
}

// Attest implements piv.Reader.
func (c *Card) Attest(ctx context.Context, s piv.Slot) (*x509.Certificate, error) {
	cert, err := theirs(ctx, c, secret.Bytes{}, func(yk *pivgo.YubiKey, _ []byte) (*x509.Certificate, error) { return yk.Attest(libSlot(s)) })
	switch {
	case errors.Is(err, pivgo.ErrNotFound), errors.Is(err, piv.ErrNoKey), errors.Is(err, apdu.WrongData):
		return nil, fmt.Errorf("slot %v: %w that was generated there", s, piv.ErrNoKey)
	case errors.Is(err, apdu.UnknownInstruction):
		var has ykslot.Version
		if c.lib != nil {
			v := c.lib.Version()
			has = ykslot.Version{Major: uint8(v.Major), Minor: uint8(v.Minor), Patch: uint8(v.Patch)}
		}
		return nil, &piv.UnsupportedError{What: "attestation", Has: has, Since: ykslot.Version{Major: 4, Minor: 3}}
	}
	return cert, err
}
