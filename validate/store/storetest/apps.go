package storetest

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// testApps: a fresh secret waits pending, does not validate, and is given out until it is not pending any more.
func testApps(t *testing.T, s deskSuite) {
	_, err := s.AddPersons(t.Context(), []token.Person{{Account: "anna"}})
	s.must(t, err)
	stream := make([]byte, 256)
	for i := range stream {
		stream[i] = byte(i)
	}
	s.d.Rand = bytes.NewReader(stream)
	lengths := map[string]int{"sha1": 20, "sha256": 32, "sha512": 64}
	drawn := 0
	for _, hash := range []string{"sha1", "sha256", "sha512"} {
		k, c, err := s.d.AddApp(t.Context(), desk.App{Kind: token.TOTP, Holder: "anna", Issuer: "Example & Co", Hash: hash, Digits: 8})
		if err != nil {
			t.Fatal(err)
		}
		if k.Model != token.App || k.State != token.Pending || c.State != token.Pending || k.Holder == nil || k.Holder.Account != "anna" || !strings.HasPrefix(k.Label, "TOTP") ||
			c.Secrets.Key.Len() != 0 {
			t.Errorf("%s: %+v, %+v", hash, k, c)
		}
		want := stream[drawn+4 : drawn+4+lengths[hash]]
		drawn += 4 + lengths[hash]
		for range 2 { // as often as it is needed
			r := s.handOver(t, k.Label)
			if r.Kind != token.TOTP || r.Issuer != "Example & Co" || r.Owner != "anna" || r.Hash != hash || r.Digits != 8 || r.Period != 30*time.Second || !bytes.Equal(r.Key.Reveal(), want) {
				t.Errorf("%s: %+v", hash, r)
			}
		}
		if _, list, err := s.d.Show(t.Context(), k.Label); err != nil || len(list) != 1 || list[0].Enabled || list[0].Settings.Issuer != "Example & Co" {
			t.Errorf("%s: %+v, %v", hash, list, err)
		}
	}
	hotp, _, err := s.d.AddApp(t.Context(), desk.App{Kind: token.HOTP})
	s.must(t, err)
	if r := s.handOver(t, hotp.Label); r.Counter != 0 || r.Period != 0 || r.Owner != "" || r.Issuer != "" || r.Digits != 6 || r.Hash != "sha1" {
		t.Errorf("%+v", r)
	}
	if got := s.export(t); len(got) != 0 {
		t.Errorf("exported: %v", got)
	}
	if got := s.export(t, hotp.Label); len(got) != 0 {
		t.Errorf("exported by name: %v", got)
	}
}

// handOver reads a pending credential. The caller does not destroy it: a test's secrets are nobody's.
func (s deskSuite) handOver(t *testing.T, query string) keyfile.Record {
	t.Helper()
	_, r, err := s.d.HandOver(t.Context(), query, desk.HandOver{Form: "uri"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func testAppRefusals(t *testing.T, s deskSuite) {
	for field, a := range map[string]desk.App{
		"type": {Kind: token.YubicoOTP}, "digits": {Kind: token.TOTP, Digits: 7}, "hash": {Kind: token.TOTP, Hash: "md5"}, "issuer": {Kind: token.TOTP, Issuer: "a:b"},
		"period": {Kind: token.HOTP, Period: time.Second}, "period ": {Kind: token.TOTP, Period: time.Millisecond}, "period  ": {Kind: token.TOTP, Period: 25 * time.Hour},
		"issuer ": {Kind: token.TOTP, Issuer: "a\nb"},
	} {
		var text *desk.TextError
		if _, _, err := s.d.AddApp(t.Context(), a); !errors.As(err, &text) || text.Field != strings.TrimSpace(field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, _, err := s.d.AddApp(t.Context(), desk.App{Kind: token.TOTP, Holder: "nobody"}); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("holder: %v", err)
	}
	if list, err := s.d.Tokens(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%d tokens, %v", len(list), err)
	}
	k, _, err := s.d.AddApp(t.Context(), desk.App{Kind: token.TOTP})
	s.must(t, err)
	if _, err := s.AddToken(t.Context(), token.Token{Model: token.App, Label: k.Label, State: token.Pending}, token.Credential{Kind: token.TOTP, State: token.Pending}); !errors.Is(err, token.ErrDuplicate) {
		t.Errorf("a label twice: %v", err)
	}
	s.key(t, 1)
	r := yubico(2, 0)
	stock := keyfile.Record{Kind: token.TOTP, Label: "STOCK1", Key: r.Key}
	s.imported(t, stock)
	_, err = s.Block(t.Context(), k.ID, desk.Block{Reason: token.ReasonLost})
	s.must(t, err)
	for _, query := range []string{"101", "STOCK1", k.Label} {
		if _, rec, err := s.d.HandOver(t.Context(), query, desk.HandOver{}); !errors.Is(err, desk.ErrNotPending) || rec.Key.Len() != 0 {
			t.Errorf("%s: %v", query, err)
		}
	}
	if _, _, err := s.d.HandOver(t.Context(), "none", desk.HandOver{}); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("none: %v", err)
	}
}
