package desk

import (
	"context"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// CodeKind says what a code is for.
type CodeKind string

// The kinds of codes.
const (
	TempCodes     CodeKind = "temp"     // until the token is back: some uses, some hours
	RecoveryCodes CodeKind = "recovery" // a sheet of them: once each, for ever
)

// Code is a temporary or recovery code without its value, of which only a keyed hash is kept.
//
// Guessing: a value is one of 2^50. A person's throttle does not stop these codes, as they help whoever somebody else has locked out;
// of those tried on a person, 1,000 an hour are compared (validate.Budget). In the 72 hours of a temporary code they find it with
// a chance of 72,000 / 2^50 = 6e-11, and one of a sheet of 10 recovery codes in a year with 8,760,000 × 10 / 2^50 = 8e-8.
type Code struct {
	ID       int64
	Kind     CodeKind
	UsesLeft int
	Expires  time.Time // zero: never
	Client   int64     // the only one that may use it; 0: any
	Created  time.Time
	Revoked  time.Time // zero: it is not
}

// Live reports whether the code may be used.
func (c Code) Live(now time.Time) bool {
	return c.UsesLeft > 0 && c.Revoked.IsZero() && (c.Expires.IsZero() || now.Before(c.Expires))
}

// Codes keeps what stands in for a token. Accounts that do not exist are token.ErrNotFound.
type Codes interface {
	// AddTempCode revokes the person's temporary codes and adds one with this normalised value. token.ErrNotFound also for the
	// client; token.ErrConflict if c.After is not the newest when it is written.
	AddTempCode(ctx context.Context, account string, c TempCode, value secret.Bytes) (Code, error)
	// ReplaceRecoveryCodes revokes the person's recovery codes and trusted browsers, and adds these.
	ReplaceRecoveryCodes(ctx context.Context, account string, values []secret.Bytes) error
	// Codes are all of a person, also dead ones, by number.
	Codes(ctx context.Context, account string) ([]Code, error)
	// RevokeCodes revokes the live ones of a kind and says how many there were.
	RevokeCodes(ctx context.Context, account string, kind CodeKind) (int, error)
}

// TempCode says what a temporary code is good for.
type TempCode struct {
	Valid  time.Duration // 0: DefaultTempTime
	Uses   int           // 0: DefaultTempUses
	Client int64         // the only one that may use it; 0: any
	Note   string        // kept in the audit chain
	// After is the number of the person's newest temporary code as far as is known, dead ones too, 0: none. It keeps a request that
	// comes twice from making two. nil: whatever there is.
	After *int64
}

// The bounds of temporary codes.
const (
	DefaultTempTime = 8 * time.Hour
	MaxTempTime     = 72 * time.Hour
	DefaultTempUses = 3
	MaxTempUses     = 20
)

// The sizes of a sheet of recovery codes.
const (
	DefaultSheet = 10
	MaxSheet     = 20
)

// TempCode makes a code that a person may use instead of a token for a while. The former one is revoked: there is one at a time.
// The value is normalised, see token.ShowSpoken; it is shown once, and the caller destroys it. The errors are *TextError,
// token.ErrNotFound for the account or the client, and token.ErrConflict if there is a newer code than c.After.
func (d *Desk) TempCode(ctx context.Context, account string, c TempCode) (secret.Bytes, Code, error) {
	c.Valid, c.Uses = orDefault(c.Valid, DefaultTempTime), orDefault(c.Uses, DefaultTempUses)
	switch {
	case c.Valid < time.Minute || c.Valid > MaxTempTime:
		return secret.Bytes{}, Code{}, &TextError{"valid", "a minute to 72 hours are possible"}
	case c.Uses < 1 || c.Uses > MaxTempUses:
		return secret.Bytes{}, Code{}, &TextError{"uses", "1 to 20 are possible"}
	}
	if err := checkText("note", c.Note, false); err != nil {
		return secret.Bytes{}, Code{}, err
	}
	value, err := token.NewSpoken(d.Rand, token.CodeLen)
	if err != nil {
		return value, Code{}, err
	}
	code, err := d.Store.AddTempCode(ctx, account, c, value)
	if err != nil {
		value.Destroy()
		return secret.Bytes{}, Code{}, err
	}
	return value, code, nil
}

// RecoveryCodes makes a sheet of n codes, 0 for DefaultSheet, that are good once each; the former sheet is revoked in the same
// transaction, and browsers that were trusted are not any more. The values are as TempCode's.
func (d *Desk) RecoveryCodes(ctx context.Context, account string, n int) ([]secret.Bytes, error) {
	if n = orDefault(n, DefaultSheet); n < 1 || n > MaxSheet {
		return nil, &TextError{"count", "1 to 20 are possible"}
	}
	values := make([]secret.Bytes, n)
	var err error
	for i := range values {
		if values[i], err = token.NewSpoken(d.Rand, token.CodeLen); err != nil {
			break
		}
	}
	if err == nil {
		err = d.Store.ReplaceRecoveryCodes(ctx, account, values)
	}
	if err != nil {
		for _, v := range values {
			v.Destroy()
		}
		return nil, err
	}
	return values, nil
}

// Codes are all of a person, also used, expired and revoked ones.
func (d *Desk) Codes(ctx context.Context, account string) ([]Code, error) {
	return d.Store.Codes(ctx, account)
}

// RevokeCodes revokes the live ones of a kind and says how many there were.
func (d *Desk) RevokeCodes(ctx context.Context, account string, kind CodeKind) (int, error) {
	return d.Store.RevokeCodes(ctx, account, kind)
}
