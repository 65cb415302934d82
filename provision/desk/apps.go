package desk

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Apps keeps tokens whose secret is drawn here for an authenticator app.
type Apps interface {
	// AddToken adds a token with its holder and one credential with its secrets, all as they are given, and returns its number.
	// token.ErrDuplicate for a label that is taken.
	AddToken(ctx context.Context, t token.Token, c token.Credential) (token.ID, error)
	// BeginHandOver writes the audit event, before the secret is read. ErrNotPending unless token and credential are pending,
	// ErrLink if a link drew them.
	BeginHandOver(ctx context.Context, id token.CredentialID, h HandOver) error
}

// App says what an authenticator app is to get.
type App struct {
	Kind   token.Kind // HOTP or TOTP
	Holder string     // account; "": nobody
	Issuer string     // as the app shows it; may be empty
	Digits int        // 6 or 8; 0: 6
	Hash   string     // "": sha1
	Period time.Duration
}

// The longest period of a TOTP.
const maxPeriod = 24 * time.Hour

// seedLens are the lengths of fresh seeds by hash, in bytes: that of the hash. Source: RFC 6238, errata 2866 (the seeds of appendix B).
var seedLens = map[string]int{"sha1": 20, "sha256": 32, "sha512": 64}

// settings are a's parameters with the defaults of OATH.
func (a App) settings() (token.Settings, error) {
	s := token.Settings{Digits: orDefault(a.Digits, defaultDigits), Hash: orDefault(a.Hash, defaultHash), Period: a.Period, Issuer: a.Issuer}
	if a.Kind == token.TOTP {
		s.Period = orDefault(a.Period, defaultPeriod)
	}
	switch {
	case a.Kind != token.TOTP && a.Kind != token.HOTP:
		return s, &TextError{"type", "hotp and totp are possible"}
	case s.Digits != 6 && s.Digits != 8:
		return s, &TextError{"digits", "6 and 8 are possible"}
	case seedLens[s.Hash] == 0:
		return s, &TextError{"hash", "sha1, sha256 and sha512 are possible"}
	case a.Kind == token.HOTP && s.Period != 0:
		return s, &TextError{"period", "HOTP has none"}
	case s.Period < 0 || s.Period > maxPeriod || s.Period%time.Second != 0:
		return s, &TextError{"period", "1 to 86400 seconds"}
	case strings.Contains(a.Issuer, ":"):
		return s, &TextError{"issuer", "has a colon, which apps take for the end of it"}
	}
	return s, checkText("issuer", a.Issuer, false)
}

// AddApp makes an app token with a fresh secret, as long as its hash, and a label of the form TOTP1A2B3C4D. Token and credential
// are pending: nothing validates, and HandOver gives the secret out, until a code proved that the app has it. The credential comes
// back without secrets. The errors are *TextError and token.ErrNotFound for the holder.
func (d *Desk) AddApp(ctx context.Context, a App) (token.Token, token.Credential, error) {
	var t token.Token
	var c token.Credential
	set, err := a.settings()
	if err != nil {
		return t, c, err
	}
	if a.Holder != "" {
		p, err := d.Store.Person(ctx, a.Holder)
		if err != nil {
			return t, c, fmt.Errorf("holder: %w", err)
		}
		t.Holder = &p
	}
	holder := t.Holder
	if t, c, err = d.drawApp(a.Kind, set); err != nil {
		return t, c, err
	}
	defer c.Secrets.Key.Destroy()
	t.Holder = holder
	if t.ID, err = d.Store.AddToken(ctx, t, c); err != nil {
		return t, c, err
	}
	c.Secrets = token.Secrets{}
	t, err = d.again(ctx, t)
	return t, c, err
}

// drawApp is a Draw.
func (d *Desk) drawApp(kind token.Kind, set token.Settings) (token.Token, token.Credential, error) {
	t := token.Token{Model: token.App, State: token.Pending}
	name, err := secret.Random(d.Rand, labelLen)
	if err != nil {
		return t, token.Credential{}, err
	}
	t.Label = strings.ToUpper(string(kind) + hex.EncodeToString(name.Reveal()))
	key, err := secret.Random(d.Rand, seedLens[set.Hash])
	if err != nil {
		return t, token.Credential{}, err
	}
	return t, token.Credential{Kind: kind, State: token.Pending, Settings: set, Secrets: token.Secrets{Key: key}}, nil
}

// labelLen is the number of random bytes in a label: the serials that privacyIDEA and LinOTP make themselves have as many.
const labelLen = 4

// HandOver says how the secret of a pending credential is given out. It is written to the audit chain.
type HandOver struct {
	Form string `json:"form"` // "qr", "png", "svg" or "uri"
	File string `json:"file,omitempty"`
}

// ErrNotPending is a credential whose secret is not given out any more.
var ErrNotPending = errors.New("only the secret of a pending app is shown")

// ErrLink is a secret that only whoever has its link and PIN gets.
var ErrLink = errors.New("this secret is shown by its link alone")

// HandOver reads the pending HOTP or TOTP credential of the token that the query names; the caller destroys the record. The audit
// event is durable before. ErrNotPending for every other token, and ErrLink for one that a link drew.
func (d *Desk) HandOver(ctx context.Context, query string, h HandOver) (token.Token, keyfile.Record, error) {
	t, list, err := d.Show(ctx, query)
	if err != nil {
		return t, keyfile.Record{}, err
	}
	list = slices.DeleteFunc(list, func(c token.Credential) bool {
		return c.State != token.Pending || c.Kind != token.HOTP && c.Kind != token.TOTP
	})
	if len(list) != 1 {
		return t, keyfile.Record{}, ErrNotPending
	}
	if err := d.Store.BeginHandOver(ctx, list[0].ID, h); err != nil {
		return t, keyfile.Record{}, err
	}
	r, err := d.Store.Record(ctx, list[0].ID)
	return t, r, err
}
