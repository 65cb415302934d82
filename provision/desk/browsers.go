package desk

import (
	"context"
	"encoding/base64"
	"io"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// BrowserTime is how long a browser is trusted. Source: PRODUCT.md §1.1 (J14).
const BrowserTime = 7 * 24 * time.Hour

// Browser is one in which a person is not asked for a code by one relying server. Only a keyed hash of its value is kept. Values
// are one of 2^256: they are not guessed.
type Browser struct {
	ID      int64
	Client  int64
	Name    string // as the relying server calls it; may be empty
	Created time.Time
	Expires time.Time
	Used    time.Time // last; zero: never
	Revoked time.Time // zero: it is not
}

// Live reports whether it is trusted.
func (b Browser) Live(now time.Time) bool { return b.Revoked.IsZero() && now.Before(b.Expires) }

// Browsers keeps trusted browsers.
type Browsers interface {
	// AddBrowser trusts a browser for BrowserTime, if the person holds the token by, which must not be blocked meanwhile: otherwise
	// token.ErrConflict. token.ErrNotFound for the person, the token or the client.
	AddBrowser(ctx context.Context, person token.PersonID, by token.ID, client int64, name string, value secret.Bytes) error
	// Browsers are all of a person, also dead ones, by number; token.ErrNotFound for the account.
	Browsers(ctx context.Context, account string) ([]Browser, error)
	// RevokeBrowsers ends the trust in the live one of this number, or in all for 0, and says how many there were;
	// token.ErrNotFound for the account.
	RevokeBrowsers(ctx context.Context, account string, id int64) (int, error)
}

// CheckDevice is a *TextError for what Trust refuses as the name of a browser, so that it can be refused before a code is spent.
func CheckDevice(name string) error { return checkText("device", name, false) }

// Trust makes a browser trusted that just gave a code of a token: person is not asked for one there by this client for BrowserTime. The
// value is text for a cookie; the caller hands it over once and destroys it. token.ErrConflict if the token was blocked since.
func (d *Desk) Trust(ctx context.Context, person token.PersonID, by token.ID, client int64, name string) (secret.Bytes, error) {
	if err := CheckDevice(name); err != nil {
		return secret.Bytes{}, err
	}
	value, err := randomText(d.Rand)
	if err != nil {
		return value, err
	}
	if err := d.Store.AddBrowser(ctx, person, by, client, name, value); err != nil {
		value.Destroy()
		return secret.Bytes{}, err
	}
	return value, nil
}

// Browsers are all of a person, also dead ones.
func (d *Desk) Browsers(ctx context.Context, account string) ([]Browser, error) {
	return d.Store.Browsers(ctx, account)
}

// RevokeBrowser ends the trust in one browser of a person; token.ErrNotFound if that is not a live one.
func (d *Desk) RevokeBrowser(ctx context.Context, account string, id int64) error {
	if id <= 0 {
		return token.ErrNotFound
	}
	n, err := d.Store.RevokeBrowsers(ctx, account, id)
	if err == nil && n == 0 {
		err = token.ErrNotFound
	}
	return err
}

// RevokeBrowsers ends the trust in all browsers of a person and says how many there were.
func (d *Desk) RevokeBrowsers(ctx context.Context, account string) (int, error) {
	return d.Store.RevokeBrowsers(ctx, account, 0)
}

// randomLen is the length of values that are handed out and never typed, in bytes.
const randomLen = 32

// randomText draws randomLen bytes and writes them as 43 characters of base64url.
func randomText(r io.Reader) (secret.Bytes, error) {
	raw, err := secret.Random(r, randomLen)
	if err != nil {
		return raw, err
	}
	defer raw.Destroy()
	return secret.New(base64.RawURLEncoding.AppendEncode(nil, raw.Reveal())), nil
}
