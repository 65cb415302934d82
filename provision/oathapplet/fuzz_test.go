package oathapplet

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// hostile answers with what it was given, one answer after the other and then the same again. An answer is its length and its bytes.
type hostile struct {
	answers [][]byte
	next    int
}

func newHostile(b []byte) *hostile {
	h := &hostile{}
	for len(b) > 0 {
		n := min(int(b[0]), len(b)-1)
		h.answers = append(h.answers, b[1:1+n])
		b = b[1+n:]
	}
	return h
}

func (h *hostile) Transmit(context.Context, []byte) ([]byte, error) {
	if len(h.answers) == 0 {
		return nil, errors.New("gone")
	}
	h.next++
	return h.answers[(h.next-1)%len(h.answers)], nil
}

// answers is what newHostile reads.
func answers(t testing.TB, text ...string) (b []byte) {
	for _, s := range text {
		a := unhex(t, s)
		b = append(append(b, byte(len(a))), a...)
	}
	return b
}

const (
	selectedOpen   = "7903050403710800745aa047fcfde79000"
	selectedLocked = "790305040371088d848ca27d71e9ba74082404b5659cc7d30f7b01219000"
)

// FuzzHostile runs every method with a card that answers anything: none panics or waits for ever, a code that comes out has the form
// of one, and what is listed is found again by its ID.
func FuzzHostile(f *testing.F) {
	for _, seed := range [][]string{
		{selectedOpen, "721021726663363233382d746573742d3031721012726663363233382d746573742d30329000"},
		{selectedOpen, "6100"},
		{selectedOpen, "7161ff", "61ff"},
		{selectedOpen, "72022161" + "7203116b6c" + "9000", "7101617605060001" + "e2409000"},
		{selectedOpen, "72042133302f" + "9000", "7603ff00009000"},
		{selectedOpen, "720e21313130302f537465616d3a78619000", "710d313130302f537465616d3a78617605080000000090007502069000", "75150628c6d33a03e7c67940c30d06253f8980f8ef54bd9000"},
		{selectedLocked, "6a80"},
		{selectedLocked, "75147831d961d57f4f73c530076d422525357ae0f2b09000"},
		{"7903050403", "9000"},
		{"6a82", "6e00", selectedOpen},
		{selectedOpen, "6984"}, {selectedOpen, "6985"}, {selectedOpen, "6982", selectedLocked}, {selectedOpen, "6f00"}, {selectedOpen, "90"}, {"", ""},
	} {
		f.Add(answers(f, seed...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4096 {
			return
		}
		for name, do := range everything() {
			s, err := Open(t.Context(), newHostile(b), bytes.NewReader(make([]byte, 64)))
			if err != nil {
				continue
			}
			do(t, s)
			if v := s.Info(); v.Locked && !v.HasPassword || len(v.DeviceID) != 22 {
				t.Errorf("%s left %+v", name, v)
			}
		}
	})
}

func everything() map[string]func(*testing.T, *Session) {
	now, seed := time.Unix(59, 0), secret.Copy([]byte("seed"))
	return map[string]func(*testing.T, *Session){
		"list": func(t *testing.T, s *Session) {
			list, _ := s.List(t.Context())
			for _, a := range list {
				if ParseID(a.ID(), a.Kind).ID() != a.ID() {
					t.Errorf("%q is not found again", a.ID())
				}
			}
		},
		"all": func(t *testing.T, s *Session) {
			entries, err := s.CalculateAll(t.Context(), now)
			for _, e := range entries {
				assertCode(t, e.Account, e.Code, err)
			}
		},
		"totp": func(t *testing.T, s *Session) {
			code, err := s.Calculate(t.Context(), dave(), now)
			assertCode(t, dave(), code, err)
		},
		"hotp": func(t *testing.T, s *Session) {
			code, err := s.Calculate(t.Context(), count(), now)
			assertCode(t, count(), code, err)
		},
		"put":    func(t *testing.T, s *Session) { _ = s.Put(t.Context(), count(), seed, 0) },
		"change": func(t *testing.T, s *Session) { _ = s.Delete(t.Context(), dave()); _ = s.Reset(t.Context()) },
		"rename": func(t *testing.T, s *Session) { _, _ = s.Rename(t.Context(), dave(), "", "x") },
		"unlock": func(t *testing.T, s *Session) {
			locked := s.Info().Locked
			if err := s.Unlock(t.Context(), DeriveKey(seed, s.Info().Salt)); err == nil && locked && s.Info().Locked {
				t.Error("unlocked, and still locked")
			}
		},
		"guard": func(t *testing.T, s *Session) {
			_ = s.SetPassword(t.Context(), seed)
			_ = s.RemovePassword(t.Context())
		},
	}
}

func assertCode(t *testing.T, a Account, c Code, err error) {
	t.Helper()
	steam := len(c.Value) == steamLen && strings.Trim(c.Value, steamLetters) == ""
	if c.Value != "" && (err != nil || a.Steam() != steam || !steam && !oath.IsCode(c.Value)) {
		t.Errorf("code %q, %v", c.Value, err)
	}
}

// TestHostile are answers whose fate is certain.
func TestHostile(t *testing.T) {
	t.Parallel()
	list := func(s *Session) error { return second(s.List(t.Context())) }
	all := func(s *Session) error { return second(s.CalculateAll(t.Context(), time.Unix(59, 0))) }
	code := func(s *Session) error { return second(s.Calculate(t.Context(), dave(), time.Unix(59, 0))) }
	open := func(*Session) error { return nil }
	for _, tc := range []struct {
		name    string
		do      func(*Session) error
		answers []string
	}{
		{"no version", open, []string{"710800745aa047fcfde79000"}},
		{"no salt", open, []string{"79030504039000"}},
		{"short salt", open, []string{"7903050403710700745aa047fcfd9000"}},
		{"short version", open, []string{"79020504710800745aa047fcfde79000"}},
		{"short challenge", open, []string{"7903050403710800745aa047fcfde77401009000"}},
		{"no status word", open, []string{"90"}},
		{"entry of another tag", list, []string{selectedOpen, "710221619000"}},
		{"empty entry", list, []string{selectedOpen, "72009000"}},
		{"entry of another type", list, []string{selectedOpen, "720231619000"}},
		{"entry that is cut off", list, []string{selectedOpen, "720321619000"}},
		{"answer without an end", list, []string{selectedOpen, "6100", "0061ff"}},
		{"1092 entries", list, append([]string{selectedOpen}, append(slices.Repeat([]string{strings.Repeat("720121", 84) + "61fc"}, 13), "9000")...)},
		{"no response", code, []string{selectedOpen, "9000"}},
		{"whole response", code, []string{selectedOpen, "75150628c6d33a03e7c67940c30d06253f8980f8ef54bd9000"}},
		{"response of 4 bytes", code, []string{selectedOpen, "7604060000009000"}},
		{"response of 6 bytes", code, []string{selectedOpen, "76060600000000009000"}},
		{"5 digits", code, []string{selectedOpen, "760505000000009000"}},
		{"9 digits", code, []string{selectedOpen, "760509000000009000"}},
		{"name without a response", all, []string{selectedOpen, "720221619000", "7101619000"}},
		{"response without a name", all, []string{selectedOpen, "720221619000", "760506000000009000"}},
		{"two names", all, []string{selectedOpen, "720221619000", "7101617101619000"}},
		{"touch without digits", all, []string{selectedOpen, "720221619000", "7101617c009000"}},
		{"short code among all", all, []string{selectedOpen, "720221619000", "710161760206009000"}},
	} {
		s, err := Open(t.Context(), newHostile(answers(t, tc.answers...)), bytes.NewReader(nil))
		if err == nil {
			err = tc.do(s)
		}
		if !errors.Is(err, apdu.ErrProtocol) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	s := must(Open(t.Context(), newHostile(answers(t, selectedOpen, "760506ffffffff9000")), bytes.NewReader(nil)))(t)
	if c := must(s.Calculate(t.Context(), dave(), time.Unix(59, 0)))(t); c.Value != "483647" {
		t.Errorf("the highest bit counts: %s", c.Value)
	}
}

// TestSecretsDoNotPrint: no error of a key that refuses shows the seed or the password.
func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	seed := secret.Copy([]byte("SuperSecretSeed1"))
	for _, sw := range []apdu.Status{apdu.WrongData, apdu.NoSpace, apdu.SecurityNotSatisfied, statusNoObject, statusMemory, statusUnknown, 0x1234} {
		for _, ins := range []byte{insPut, insSetCode, insValidate} {
			r := newRig(t, vkey.YubiKey543)
			r.ch.Card = reject(r.card(), ins, sw)
			err := errors.Join(r.Put(t.Context(), dave(), seed, 0), r.SetPassword(t.Context(), seed))
			if err == nil || strings.Contains(err.Error(), "SuperSecret") || strings.Contains(err.Error(), "5375706572") {
				t.Errorf("%v to %02x: %v", sw, ins, err)
			}
		}
	}
}
