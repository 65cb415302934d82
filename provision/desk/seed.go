package desk

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Seed is the secret of a HOTP or TOTP token that exists already.
type Seed struct {
	Key     secret.Bytes // the caller destroys it
	Label   string       // its serial; "": one is drawn, as for an app
	Counter int64        // HOTP: the next moving factor
}

// The lengths of seeds in bytes. A seed that is shorter than MinSeed is refused, one shorter than GoodSeed is worth a warning.
// Source: reference validation-protocol.md §15 rule 8.
const (
	MinSeed  = 16
	GoodSeed = 20
	maxSeed  = 128
)

// AddSeed registers a token whose secret is known, as an import from a file would: it is in stock, and is issued with a code. The
// errors are *TextError, token.ErrNotFound for the holder, and token.ErrDuplicate for a label or a secret that is here already.
func (d *Desk) AddSeed(ctx context.Context, a App, s Seed) (token.Token, token.Credential, error) {
	var t token.Token
	var c token.Credential
	set, err := a.settings()
	if err == nil {
		err = s.check(a.Kind)
	}
	if err != nil {
		return t, c, err
	}
	if a.Holder != "" {
		if _, err := d.Store.Person(ctx, a.Holder); err != nil {
			return t, c, fmt.Errorf("holder: %w", err)
		}
	}
	if s.Label == "" {
		name, err := secret.Random(d.Rand, labelLen)
		if err != nil {
			return t, c, err
		}
		s.Label = strings.ToUpper(string(a.Kind) + hex.EncodeToString(name.Reveal()))
	}
	r := keyfile.Record{Kind: a.Kind, Label: s.Label, Owner: a.Holder, Key: s.Key, Digits: set.Digits, Hash: set.Hash, Period: set.Period, Issuer: set.Issuer, Counter: s.Counter}
	out, err := d.Store.Import(ctx, "token add", []keyfile.Record{r})
	if err != nil {
		return t, c, err
	}
	if out[0].Outcome != New {
		return t, c, &SeedError{Cause: out[0].Note}
	}
	list, err := d.Store.Tokens(ctx, Match{Text: s.Label})
	for _, k := range list {
		if k.Model == token.Hardware && k.Label == s.Label {
			t = k
		}
	}
	if err == nil && t.ID == 0 {
		err = token.ErrNotFound
	}
	if err != nil {
		return t, c, err
	}
	all, err := d.Store.Credentials(ctx, t.ID)
	for _, k := range all {
		if k.State != token.Revoked {
			c = k
		}
	}
	return t, c, err
}

func (s Seed) check(kind token.Kind) error {
	switch n := s.Key.Len(); {
	case n < MinSeed:
		return &TextError{"secret", fmt.Sprintf("%d bytes are too short: %d at least", n, MinSeed)}
	case n > maxSeed:
		return &TextError{"secret", fmt.Sprintf("%d bytes are too long: %d at most", n, maxSeed)}
	case s.Counter < 0 || s.Counter > 0 && kind != token.HOTP:
		return &TextError{"counter", "is of a HOTP token, and not below 0"}
	case s.Counter > keyfile.MaxCounter:
		return &TextError{"counter", "is larger than any token's"}
	}
	return checkText("label", s.Label, false)
}

// SeedError says why a seed is not registered: it, or its label, is here already. It is a token.ErrDuplicate.
type SeedError struct{ Cause string }

func (e *SeedError) Error() string { return "not registered: " + e.Cause }

// Unwrap is token.ErrDuplicate.
func (e *SeedError) Unwrap() error { return token.ErrDuplicate }
