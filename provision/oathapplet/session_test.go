package oathapplet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	virtual "github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// withCard are the profiles that have an OATH application, and the firmware at the ends of what it does unlike others.
func withCard() []vkey.Profile {
	p := []vkey.Profile{vkey.YubiKeyNEO}
	for _, v := range []vkey.Version{{Major: 4, Minor: 2, Build: 6}, {Major: 4, Minor: 3, Build: 4}} {
		p = append(p, vkey.YubiKey435.At(v))
	}
	return append(p, vkey.YubiKey435, vkey.YubiKey527, vkey.YubiKey543, vkey.YubiKey571)
}

// TestLife puts, lists, calculates, overwrites, renames, deletes and resets on every firmware.
func TestLife(t *testing.T) {
	t.Parallel()
	for _, p := range withCard() {
		t.Run(p.Version.String(), func(t *testing.T) {
			t.Parallel()
			live(newRig(t, p))
		})
	}
}

func live(r *rig) {
	t, ctx, now := r.t, r.t.Context(), time.Unix(1111111109, 0)
	r.put(dave(), rfcSeed(20), 0)
	r.put(count(), rfcSeed(20), 7)
	if err := r.Put(ctx, dave(), secret.Copy([]byte("other")), 0); !errors.Is(err, ErrExists) || !r.oath.Holds("Nextcloud:dave", []byte(rfcSeed(20))) {
		t.Errorf("put over an account: %v", err)
	}
	slow := Account{Issuer: "Nextcloud", Name: "dave", Kind: token.TOTP, Hash: oath.SHA256, Digits: 8, Period: time.Minute}
	r.put(slow, rfcSeed(32), 0)
	steam := Account{Issuer: "Steam", Name: "gabe", Kind: token.TOTP, Hash: oath.SHA1, Digits: 6, Period: DefaultPeriod}
	r.put(steam, rfcSeed(20), 0)
	entries := must(r.CalculateAll(ctx, now))(t)
	want := fmt.Sprint([]Entry{
		{dave(), Code{codeOf(t, oath.SHA1, 20, 6, 37037036), time.Unix(1111111080, 0), time.Unix(1111111110, 0)}},
		{Account: count()},
		{slow, Code{codeOf(t, oath.SHA256, 32, 8, 18518518), time.Unix(1111111080, 0), time.Unix(1111111140, 0)}},
		{steam, Code{"PY4YB", time.Unix(1111111080, 0), time.Unix(1111111110, 0)}},
	})
	if got := fmt.Sprint(entries); got != want {
		t.Errorf("codes:\n%s\nwant\n%s", got, want)
	}
	for i := range int64(3) { // the first is the one it was written with
		if code := must(r.Calculate(ctx, count(), now))(t); code != (Code{Value: codeOf(t, oath.SHA256, 20, 8, 7+i)}) {
			t.Errorf("HOTP code %d: %+v", i, code)
		}
	}
	if err := r.Replace(ctx, dave(), secret.Copy([]byte("x")), 0); err != nil || !r.oath.Holds("Nextcloud:dave", []byte("x")) {
		t.Errorf("replace: %v", err)
	}
	if err := r.Delete(ctx, steam); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"delete": r.Delete(ctx, steam), "calculate": second(r.Calculate(ctx, steam, now)),
	} {
		if !errors.Is(err, ErrNoAccount) {
			t.Errorf("%s what is not there: %v", name, err)
		}
	}
	rename(r)
	salt := r.Info().Salt
	if err := r.Reset(ctx); err != nil || r.ids() != "" || r.Info().Salt == salt || r.Info().Salt != r.oath.Salt() {
		t.Errorf("reset: %v, %q", err, r.ids())
	}
}

func rename(r *rig) {
	t, ctx := r.t, r.t.Context()
	to, err := r.Rename(ctx, dave(), "Cloud", "dave@example.org")
	var old *ykslot.UnsupportedError
	if !r.Info().Version.AtLeast(5, 3, 1) {
		if !errors.As(err, &old) {
			t.Errorf("rename: %v", err)
		}
		return
	}
	if err != nil || to.ID() != "Cloud:dave@example.org" || r.ids() != "Cloud:dave@example.org count 60/Nextcloud:dave" {
		t.Errorf("rename: %v, %q", err, r.ids())
	}
	var bad *AccountError
	if _, err := r.Rename(ctx, to, "", ""); !errors.As(err, &bad) {
		t.Errorf("rename to nothing: %v", err)
	}
	if _, err := r.Rename(ctx, dave(), "a", "b"); !errors.Is(err, ErrNoAccount) {
		t.Errorf("rename what is not there: %v", err)
	}
	if _, err := r.Rename(ctx, to, "", "count"); !errors.Is(err, ErrExists) {
		t.Errorf("rename over another: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// codeOf is the code of the RFC's seed of n bytes.
func codeOf(t *testing.T, h oath.Hash, n, digits int, factor int64) string {
	return must(oath.New(secret.Copy([]byte(rfcSeed(n))), h, digits))(t).Code(factor)
}

// TestPrefix: a key that overwrites what begins alike is not asked to.
func TestPrefix(t *testing.T) {
	t.Parallel()
	r := newRig(t, vkey.YubiKey435.At(vkey.Version{Major: 4, Minor: 3, Build: 4}))
	long, short := dave(), dave()
	short.Name = "da"
	r.put(long, "long", 0)
	var e *ExistsError
	for name, err := range map[string]error{
		"put":     r.Put(t.Context(), short, secret.Copy([]byte("short")), 0),
		"replace": r.Replace(t.Context(), short, secret.Copy([]byte("short")), 0),
	} {
		if !errors.As(err, &e) || !e.Prefix || e.ID != long.ID() || !r.oath.Holds(long.ID(), []byte("long")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFull fills keys to their ends, and lists what takes several parts.
func TestFull(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		p    vkey.Profile
		room int
	}{{vkey.YubiKeyNEO, 28}, {vkey.YubiKey543, 32}, {vkey.YubiKey571, 64}} {
		r := newRig(t, tc.p)
		a := dave()
		var err error
		n := 0
		for ; n < 100 && err == nil; n++ {
			a.Name = fmt.Sprintf("%s%02d", strings.Repeat("n", 52), n)
			err = r.Put(t.Context(), a, secret.Copy([]byte("seed")), 0)
		}
		if n != tc.room+1 || !errors.Is(err, ErrFull) || errors.Is(err, ykslot.ErrUnsettled) {
			t.Errorf("%v: %d accounts, %v", tc.p.Version, n-1, err)
		}
		entries := must(r.CalculateAll(t.Context(), time.Unix(59, 0)))(t)
		if len(entries) != tc.room || entries[tc.room-1].Code.Value == "" || entries[tc.room-1].Name[52:] != fmt.Sprint(tc.room-1) {
			t.Errorf("%v: %d accounts, the last %+v", tc.p.Version, len(entries), entries[len(entries)-1])
		}
	}
}

// TestTouch: an account that asks for one shows no code among all, waits, and times out.
func TestTouch(t *testing.T) {
	t.Parallel()
	k := vkey.New(vkey.YubiKey543, vkey.Options{})
	r := &rig{t: t, key: k, oath: virtual.Install(k, virtual.Options{TouchWait: time.Millisecond})}
	r.open()
	a := dave()
	a.Touch = true
	r.put(a, rfcSeed(20), 0)
	if entries := must(r.CalculateAll(t.Context(), time.Unix(59, 0)))(t); len(entries) != 1 || entries[0] != (Entry{Account: a}) {
		t.Errorf("%+v", entries)
	}
	if _, err := r.Calculate(t.Context(), a, time.Unix(59, 0)); !errors.Is(err, ErrTouchTimeout) {
		t.Errorf("untouched: %v", err)
	}
	k.OnTouchWait(func() bool { return true })
	if code := must(r.Calculate(t.Context(), a, time.Unix(59, 0)))(t); code.Value != "287082" {
		t.Errorf("touched: %+v", code)
	}
}

// TestNoApplet: a key without the application, and a NEO that must first leave another one.
func TestNoApplet(t *testing.T) {
	t.Parallel()
	bare := vkey.New(vkey.YubiKey543, vkey.Options{}).Card()
	card := apdu.TransmitFunc(func(_ context.Context, b []byte) ([]byte, error) { return bare.Transmit(b) })
	if _, err := Open(t.Context(), card, rand.Reader); !errors.Is(err, ErrNoApplet) {
		t.Errorf("no application: %v", err)
	}
	r := newRig(t, vkey.YubiKeyNEO)
	must(r.card().Transmit(t.Context(), []byte{0, 0xA4, 4, 0, 8, 0xA0, 0, 0, 5, 0x27, 0x47, 0x11, 0x17}))(t)
	r.open()
}
