package piv

import (
	"context"
	"crypto"
	"fmt"

	"github.com/tokendesk/tokendesk/ykslot"
)

// GenerateSpec says which key is generated where.
type GenerateSpec struct {
	Slot Slot
	Key  KeySpec
	// Overwrite: what is in the slot may be lost. Its certificate is removed, as it is for another key.
	Overwrite bool
	Given     Given
}

// Generate lets the card make a key. Errors are *OccupiedError, *UnsupportedError or those of Management.
func (r *Runner) Generate(ctx context.Context, card Card, g GenerateSpec) (crypto.PublicKey, error) {
	f, err := card.Facts(ctx)
	if err != nil {
		return nil, err
	}
	key := g.Key.In(g.Slot)
	if err := Supports(f.Version, key); err != nil {
		return nil, err
	}
	have := f.Slot(g.Slot)
	if have.Key == Unknown && !have.Object && !g.Overwrite { // an imported key would not be seen
		if _, err := card.Attest(ctx, g.Slot); err == nil {
			have.Key = Yes
		}
	}
	if (have.Key == Yes || have.Object) && !g.Overwrite {
		return nil, &OccupiedError{Slot: g.Slot, Key: have.Key == Yes, Certificate: have.Object}
	}
	management, err := r.Management(ctx, card, f, g.Given)
	if err != nil {
		return nil, err
	}
	defer management.Destroy()
	if have.Object {
		if err := card.SetCertificate(ctx, management, g.Slot, nil); err != nil {
			return nil, fmt.Errorf("remove the certificate of slot %v: %w", g.Slot, err)
		}
	}
	return card.Generate(ctx, management, g.Slot, key)
}

// DeleteSpec says what is removed from a slot.
type DeleteSpec struct {
	Slot             Slot
	Key, Certificate bool
	Given            Given
}

// Delete removes a key, which firmware before 5.7 cannot (*UnsupportedError, nothing is removed), or a certificate, or both.
func (r *Runner) Delete(ctx context.Context, card Card, d DeleteSpec) error {
	f, err := card.Facts(ctx)
	if err != nil {
		return err
	}
	if since := (ykslot.Version{Major: 5, Minor: 7}); d.Key && f.Version.Compare(since) < 0 {
		return &UnsupportedError{What: "deleting a key", Has: f.Version, Since: since}
	}
	management, err := r.Management(ctx, card, f, d.Given)
	if err != nil {
		return err
	}
	defer management.Destroy()
	if d.Certificate && f.Slot(d.Slot).Object {
		if err := card.SetCertificate(ctx, management, d.Slot, nil); err != nil {
			return err
		}
	}
	if d.Key && f.Slot(d.Slot).Key != No {
		return card.DeleteKey(ctx, management, d.Slot)
	}
	return nil
}

// roca are the firmwares whose RSA keys can be computed from the public key, CVE-2017-15361: from inclusive, before exclusive. Source:
// Yubico, YSA-2017-01.
var roca = struct{ from, before ykslot.Version }{ykslot.Version{Major: 4, Minor: 2}, ykslot.Version{Major: 4, Minor: 3, Patch: 5}}

// fips are the firmwares of the YubiKey FIPS of series 4: from inclusive, before exclusive. Source: yubikit 4.0.9, piv.py, check_key_support.
var fips = struct{ from, before ykslot.Version }{ykslot.Version{Major: 4, Minor: 4}, ykslot.Version{Major: 4, Minor: 5}}

// Supports is an *UnsupportedError for a key that a firmware cannot have or must not make.
func Supports(has ykslot.Version, k KeySpec) error {
	for _, row := range algorithms {
		if row.algorithm == k.Algorithm && has.Compare(row.since) < 0 {
			return &UnsupportedError{What: "a key of " + row.name, Has: has, Since: row.since}
		}
	}
	switch v4, v43, isFIPS := (ykslot.Version{Major: 4}), (ykslot.Version{Major: 4, Minor: 3}), has.Compare(fips.from) >= 0 && has.Compare(fips.before) < 0; {
	case isFIPS && k.Algorithm == RSA1024:
		return &UnsupportedError{What: "a key of rsa1024 on a YubiKey FIPS", Has: has}
	case isFIPS && k.PIN == PINNever:
		return &UnsupportedError{What: "a key that wants no PIN on a YubiKey FIPS", Has: has}
	case k.Algorithm.RSA() && has.Compare(roca.from) >= 0 && has.Compare(roca.before) < 0:
		return &UnsupportedError{What: "a safe RSA key (CVE-2017-15361)", Has: has, Since: roca.before}
	case (k.PIN == PINNever || k.PIN == PINAlways) && has.Compare(v4) < 0:
		return &UnsupportedError{What: "a PIN policy", Has: has, Since: v4}
	case k.Touch == TouchAlways && has.Compare(v4) < 0:
		return &UnsupportedError{What: "a touch policy", Has: has, Since: v4}
	case k.Touch == TouchCached && has.Compare(v43) < 0:
		return &UnsupportedError{What: "the touch policy cached", Has: has, Since: v43}
	}
	return nil
}

// RSA reports whether it is one of RSA's.
func (a Algorithm) RSA() bool { return a == RSA1024 || a == RSA2048 || a == RSA3072 || a == RSA4096 }
