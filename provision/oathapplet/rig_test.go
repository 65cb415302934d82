package oathapplet

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	virtual "github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// rig is a session with a virtual key, whose applet shares no code with the client.
type rig struct {
	*Session
	t    *testing.T
	key  *vkey.Key
	oath *virtual.Applet
}

func newRig(t *testing.T, p vkey.Profile) *rig {
	t.Helper()
	k := vkey.New(p, vkey.Options{Serial: 7654321})
	r := &rig{t: t, key: k, oath: virtual.Install(k, virtual.Options{})}
	r.open()
	return r
}

func (r *rig) card() apdu.Transmitter {
	c := r.key.Card()
	return apdu.TransmitFunc(func(_ context.Context, b []byte) ([]byte, error) { return c.Transmit(b) })
}

// open selects the application anew.
func (r *rig) open() {
	r.t.Helper()
	s, err := Open(r.t.Context(), r.card(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Session = s
}

func (r *rig) put(a Account, seed string, moving int64) {
	r.t.Helper()
	if err := r.Put(r.t.Context(), a, secret.Copy([]byte(seed)), moving); err != nil {
		r.t.Fatal(err)
	}
}

// ids are the accounts that the key holds, as it says.
func (r *rig) ids() string {
	var out []string
	for _, a := range r.oath.Accounts() {
		out = append(out, a.Name)
	}
	return strings.Join(out, " ")
}

// must is v, unless there is an error.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// dave and count are accounts that every firmware holds.
func dave() Account {
	return Account{Issuer: "Nextcloud", Name: "dave", Kind: token.TOTP, Hash: oath.SHA1, Digits: 6, Period: DefaultPeriod}
}

func count() Account { return Account{Name: "count", Kind: token.HOTP, Hash: oath.SHA256, Digits: 8} }

// rfcSeed is the seed of RFC 4226 and, repeated, of RFC 6238: 20, 32 or 64 bytes.
func rfcSeed(n int) string { return strings.Repeat("1234567890", 7)[:n] }

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reject answers one instruction with a status word, as often as it comes, and passes the rest on.
func reject(card apdu.Transmitter, ins byte, sw apdu.Status) apdu.Transmitter {
	return apdu.TransmitFunc(func(ctx context.Context, b []byte) ([]byte, error) {
		if b[1] == ins && b[2] != 0x04 {
			return []byte{byte(sw >> 8), byte(sw)}, nil
		}
		return card.Transmit(ctx, b)
	})
}

// spy passes commands on and keeps them.
type spy struct {
	card apdu.Transmitter
	sent [][]byte
}

func (s *spy) Transmit(ctx context.Context, b []byte) ([]byte, error) {
	s.sent = append(s.sent, bytes.Clone(b))
	return s.card.Transmit(ctx, b)
}
