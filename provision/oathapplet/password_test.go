package oathapplet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// TestPassword sets, gives, changes and removes one on every firmware.
func TestPassword(t *testing.T) {
	t.Parallel()
	for _, p := range withCard() {
		t.Run(p.Version.String(), func(t *testing.T) {
			t.Parallel()
			guard(newRig(t, p))
		})
	}
}

func guard(r *rig) {
	t, ctx := r.t, r.t.Context()
	r.put(dave(), rfcSeed(20), 0)
	if err := r.SetPassword(ctx, secret.Bytes{}); !errors.Is(err, ErrNoPassword) || r.oath.Locked() {
		t.Errorf("empty password: %v", err)
	}
	for _, word := range []string{"first", "Ťᶒśƫ ᵽĥřӓşḛ"} {
		if err := r.SetPassword(ctx, secret.Copy([]byte(word))); err != nil {
			t.Fatal(err)
		}
		key := DeriveKey(secret.Copy([]byte(word)), r.Info().Salt)
		if i := r.Info(); i.Locked || !i.HasPassword || !r.oath.HoldsCode(key.Reveal()) {
			t.Errorf("%+v", i)
		}
		if err := second(r.List(ctx)); err != nil {
			t.Errorf("after the password was set: %v", err)
		}
	}
	r.open()
	if i := r.Info(); !i.Locked || !i.HasPassword {
		t.Errorf("%+v", i)
	}
	assertLocked(r)
	wrong, right := DeriveKey(secret.Copy([]byte("first")), r.Info().Salt), DeriveKey(secret.Copy([]byte("Ťᶒśƫ ᵽĥřӓşḛ")), r.Info().Salt)
	for range 2 {
		if err := r.Unlock(ctx, wrong); !errors.Is(err, ErrWrongPassword) || !r.Info().Locked {
			t.Errorf("wrong password: %v", err)
		}
	}
	if n := r.oath.Ran()[insValidate]; n != 4 { // two when it was set, two wrong ones
		t.Errorf("%d times tried", n)
	}
	for range 2 { // the second changes nothing
		if err := r.Unlock(ctx, right); err != nil || r.Info().Locked {
			t.Fatal(err)
		}
	}
	if n := r.oath.Ran()[insValidate]; n != 5 {
		t.Errorf("%d times tried", n)
	}
	if _, err := r.Calculate(ctx, dave(), time.Unix(59, 0)); err != nil {
		t.Error(err)
	}
	if err := r.RemovePassword(ctx); err != nil || r.oath.Locked() || r.Info().HasPassword {
		t.Error(err)
	}
}

func assertLocked(r *rig) {
	r.t.Helper()
	ctx, seed := r.t.Context(), secret.Copy([]byte("seed"))
	ran := r.oath.Ran()
	for name, err := range map[string]error{
		"list": second(r.List(ctx)), "put": r.Put(ctx, count(), seed, 0), "replace": r.Replace(ctx, dave(), seed, 0), "delete": r.Delete(ctx, dave()),
		"calculate": second(r.Calculate(ctx, count(), time.Unix(0, 0))), "all": second(r.CalculateAll(ctx, time.Unix(0, 0))),
		"set": r.SetPassword(ctx, seed), "remove": r.RemovePassword(ctx),
	} {
		if !errors.Is(err, ErrLocked) || errors.Is(err, ykslot.ErrUnsettled) {
			r.t.Errorf("%s on a locked key: %v", name, err)
		}
	}
	if fmt.Sprint(r.oath.Ran()) != fmt.Sprint(ran) {
		r.t.Errorf("a locked key was asked: %v", r.oath.Ran())
	}
}

// TestRelocked: the key locks itself in the middle of a session, as when another program was there; the session opens again.
func TestRelocked(t *testing.T) {
	t.Parallel()
	r := newRig(t, vkey.YubiKey543)
	if err := r.SetPassword(t.Context(), secret.Copy([]byte("word"))); err != nil {
		t.Fatal(err)
	}
	key := DeriveKey(secret.Copy([]byte("word")), r.Info().Salt)
	must(r.card().Transmit(t.Context(), append([]byte{0, 0xA4, 4, 0, 7}, applicationID...)))(t)
	if _, err := r.List(t.Context()); !errors.Is(err, ErrLocked) || !r.Info().Locked {
		t.Errorf("%v", err)
	}
	if err := r.Unlock(t.Context(), key); err != nil {
		t.Error(err)
	}
	if _, err := r.List(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestResetLocked: who forgot the password can reset.
func TestResetLocked(t *testing.T) {
	t.Parallel()
	r := newRig(t, vkey.YubiKeyNEO)
	if err := r.SetPassword(t.Context(), secret.Copy([]byte("word"))); err != nil {
		t.Fatal(err)
	}
	r.open()
	if err := r.Reset(t.Context()); err != nil || r.Info().HasPassword || r.oath.Locked() {
		t.Error(err)
	}
}

// TestUnproven: a password that the key took and does not keep, or that does not open it, is not reported as set.
func TestUnproven(t *testing.T) {
	t.Parallel()
	for name, dull := range map[string]apdu.Status{"forgotten": apdu.OK, "does not open": apdu.WrongData} {
		r := newRig(t, vkey.YubiKey543)
		ins := byte(insSetCode)
		if dull != apdu.OK {
			ins = insValidate
		}
		r.ch.Card = reject(r.card(), ins, dull)
		if err := r.SetPassword(t.Context(), secret.Copy([]byte("word"))); !errors.Is(err, ykslot.ErrUnsettled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := newRig(t, vkey.YubiKey543)
	if err := r.SetPassword(t.Context(), secret.Copy([]byte("word"))); err != nil {
		t.Fatal(err)
	}
	r.ch.Card = reject(r.card(), insSetCode, apdu.OK)
	if err := r.RemovePassword(t.Context()); !errors.Is(err, ykslot.ErrUnsettled) || !r.oath.Locked() {
		t.Errorf("not removed: %v", err)
	}
}

// TestImpostor: a key that takes any password without knowing it does not open.
func TestImpostor(t *testing.T) {
	t.Parallel()
	r := newRig(t, vkey.YubiKey543)
	if err := r.SetPassword(t.Context(), secret.Copy([]byte("word"))); err != nil {
		t.Fatal(err)
	}
	r.open()
	for name, answer := range map[string][]byte{
		"nothing": nil, "its own challenge's": apdu.AppendTLV(nil, tagFull, make([]byte, 20)), "too short": apdu.AppendTLV(nil, tagFull, nil),
	} {
		r.ch.Card = apdu.TransmitFunc(func(ctx context.Context, b []byte) ([]byte, error) {
			if b[1] == insValidate {
				return append(append([]byte(nil), answer...), 0x90, 0), nil
			}
			return r.card().Transmit(ctx, b)
		})
		if err := r.Unlock(t.Context(), DeriveKey(secret.Copy([]byte("word")), r.Info().Salt)); !errors.Is(err, apdu.ErrProtocol) || !r.Info().Locked {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoRandomness: without it, no challenge is made up.
func TestNoRandomness(t *testing.T) {
	t.Parallel()
	r := newRig(t, vkey.YubiKey543)
	r.random = strings.NewReader("short")
	if err := r.SetPassword(t.Context(), secret.Copy([]byte("word"))); !errors.Is(err, io.ErrUnexpectedEOF) || r.oath.Locked() {
		t.Error(err)
	}
}

// TestDeriveKey is reference yubikey-otp.md §6.5.
func TestDeriveKey(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ salt, word, want string }{
		{strings.Repeat("\x00", 8), "foobar", "b07da1e7de87f89a87a2b598eaa2188c"},
		{"12345678", "Hallå världen!", "da818e6b2cf0a2d0bf19b3ddd34b83f5"},
		{"saltsalt", "Ťᶒśƫ ᵽĥřӓşḛ", "f3dfa78154c810329945fbc4b535e537"},
	} {
		key := DeriveKey(secret.Copy([]byte(tc.word)), [SaltLen]byte([]byte(tc.salt)))
		if !bytes.Equal(key.Reveal(), unhex(t, tc.want)) {
			t.Errorf("%s: another key", tc.word)
		}
		if text := fmt.Sprintf("%v %+v %x", key, &key, key); strings.Contains(text, tc.want[:8]) {
			t.Error("a key prints")
		}
	}
}
