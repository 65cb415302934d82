package diagnose_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/diagnose"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

var now = time.Date(2026, 3, 4, 10, 0, 7, 0, time.UTC)

// world is a store of samples.
type world struct {
	held     []diagnose.Held
	secrets  map[token.CredentialID]token.Secrets
	failures map[string]int
	failedAt time.Time // zero: a minute ago
	health   diagnose.Health
	kept     map[string]diagnose.Attempt
}

func person(account string) *token.Person {
	return &token.Person{ID: token.PersonID(account[0]), Account: account}
}

func (w *world) Subject(_ context.Context, account, serial string) (diagnose.Subject, error) {
	var s diagnose.Subject
	for _, h := range w.held {
		if serial != "" && h.Token.Serial.String() == serial {
			s.Token, s.Person = h.Token.ID, h.Token.Holder
		}
		if account != "" && h.Token.Holder != nil && h.Token.Holder.Account == account {
			s.Person = h.Token.Holder
		}
	}
	for _, h := range w.held {
		if s.Person != nil && h.Token.Holder != nil && h.Token.Holder.ID == s.Person.ID || h.Token.ID == s.Token {
			s.Held = append(s.Held, h)
		}
	}
	if s.Failures = w.failures[account]; s.Failures > 0 {
		s.FailedAt = now.Add(-time.Minute)
		if !w.failedAt.IsZero() {
			s.FailedAt = w.failedAt
		}
	}
	return s, nil
}

func (w *world) Holders(_ context.Context, ids []token.PublicID) ([]diagnose.Held, error) {
	var out []diagnose.Held
	for _, h := range w.held {
		if h.Credential.Kind == token.YubicoOTP && slices.Contains(ids, h.Credential.PublicID) {
			out = append(out, h)
		}
	}
	return out, nil
}

func (w *world) CredentialSecrets(_ context.Context, id token.CredentialID) (token.Secrets, error) {
	s := w.secrets[id]
	return token.Secrets{Key: secret.Copy(s.Key.Reveal()), PrivateID: secret.Copy(s.PrivateID.Reveal())}, nil
}

func (w *world) Health(context.Context) (diagnose.Health, error) { return w.health, nil }

func (w *world) KeepAttempt(_ context.Context, a diagnose.Attempt) error {
	if _, ok := w.kept[a.Code]; ok {
		return token.ErrDuplicate
	}
	w.kept[a.Code] = a
	return nil
}

func (w *world) FindAttempt(_ context.Context, code string) (diagnose.Attempt, error) {
	a, ok := w.kept[code]
	if !ok {
		return a, token.ErrNotFound
	}
	return a, nil
}

func (w *world) add(h diagnose.Held, s token.Secrets) {
	h.Credential.ID, h.Credential.Token = token.CredentialID(len(w.held)+1), h.Token.ID
	h.Credential.Enabled = h.Credential.State.Validates() && h.Token.State.Validates()
	w.held, w.secrets[h.Credential.ID] = append(w.held, h), s
}

// The fields of every credential depend on its name.
func bytesOf(name string, n int) []byte { return []byte(strings.Repeat(name+"-", 40))[:n] }

// key adds a Yubico OTP in a slot of a YubiKey.
func (w *world) key(name string, serial token.Serial, slot token.Slot, holder string, tokenState, state token.State) *token.Credential {
	t := token.Token{ID: token.ID(serial), Model: token.YubiKey, Serial: serial, State: tokenState}
	if holder != "" {
		t.Holder = person(holder)
	}
	if tokenState.Blocked() {
		t.Reason, t.BlockedAt = token.ReasonLost, now.Add(-time.Hour)
	}
	id, _ := token.NewPublicID(append([]byte{0xff}, bytesOf(name, 5)...))
	if strings.HasPrefix(name, "factory") {
		id, _ = token.NewPublicID(append([]byte{0}, bytesOf(name[7:], 5)...))
	}
	c := token.Credential{Kind: token.YubicoOTP, Slot: slot, PublicID: id, State: state, ProvenAt: now.Add(-24 * time.Hour),
		Counters: token.Counters{Use: 5, Session: 5, Timestamp: 8000, Moving: -1, At: now.Add(-time.Hour)}}
	w.add(diagnose.Held{Token: t, Credential: c}, token.Secrets{Key: secret.New(bytesOf(name, 16)), PrivateID: secret.New(bytesOf(name, 6))})
	return &w.held[len(w.held)-1].Credential
}

// oath adds a HOTP or TOTP token.
func (w *world) oath(name string, id token.ID, kind token.Kind, holder string, tokenState, state token.State) *token.Credential {
	t := token.Token{ID: id, Model: token.App, Label: strings.ToUpper(name), State: tokenState, Holder: person(holder)}
	c := token.Credential{Kind: kind, State: state, ProvenAt: now.Add(-24 * time.Hour), Settings: token.Settings{Digits: 6, Hash: "sha1"}, Counters: token.Fresh()}
	if kind == token.TOTP {
		c.Settings.Period = 30 * time.Second
	} else {
		c.Counters.Moving = 2000
	}
	w.add(diagnose.Held{Token: t, Credential: c}, token.Secrets{Key: secret.New(bytesOf(name, 20))})
	return &w.held[len(w.held)-1].Credential
}

// newWorld has anna with everything, berta, carl with a key, dora with an app, and a key in stock.
func newWorld() *world {
	w := &world{secrets: map[token.CredentialID]token.Secrets{}, failures: map[string]int{}, kept: map[string]diagnose.Attempt{}}
	w.key("anna", 1001, 2, "anna", token.Active, token.Active)
	w.key("factoryanna", 1001, 1, "anna", token.Active, token.Revoked)
	w.key("second", 1002, 1, "anna", token.Active, token.Active)
	w.key("olds2", 1002, 2, "anna", token.Active, token.Revoked)
	w.key("retired", 1003, 1, "anna", token.Revoked, token.Revoked)
	w.key("lost", 1004, 1, "anna", token.Lost, token.Active)
	w.oath("app", 11, token.TOTP, "anna", token.Active, token.Active)
	w.oath("display", 12, token.HOTP, "anna", token.Active, token.Active)
	w.oath("gone", 13, token.TOTP, "anna", token.Revoked, token.Revoked)
	w.oath("expired", 14, token.TOTP, "anna", token.Revoked, token.Revoked).ProvenAt = time.Time{}
	w.oath("setup", 15, token.TOTP, "anna", token.Pending, token.Pending).ProvenAt = time.Time{}
	w.key("berta", 2001, 1, "berta", token.Active, token.Active)
	w.key("carl", 3001, 1, "carl", token.Active, token.Active)
	w.oath("dora", 41, token.TOTP, "dora", token.Active, token.Active)
	w.key("stock", 5001, 1, "", token.InStock, token.Active)
	return w
}

func (w *world) doctor() *diagnose.Doctor {
	return &diagnose.Doctor{Store: w, Now: func() time.Time { return now }}
}

// press is an OTP of a key: by default the next one.
func (w *world) press(t testing.TB, name string, change func(*yubiotp.Token)) string {
	t.Helper()
	otp := yubiotp.Token{UseCounter: 6, SessionCounter: 0, Timestamp: 9000, Random: 77}
	if change != nil {
		change(&otp)
	}
	id, _ := token.NewPublicID(append([]byte{0xff}, bytesOf(name, 5)...))
	if strings.HasPrefix(name, "factory") {
		id, _ = token.NewPublicID(append([]byte{0}, bytesOf(name[7:], 5)...))
	}
	cipher, err := yubiotp.NewCipher(secret.New(bytesOf(name, 16)), secret.New(bytesOf(name, 6)))
	if err != nil {
		t.Fatal(err)
	}
	return yubiotp.Join(id.Bytes(), cipher.Seal(otp))
}

// code is the code of a token, off steps from the present one or after the counter.
func (w *world) code(t testing.TB, name string, off int64) string {
	t.Helper()
	return made(t, name, oath.SHA1, 6, oath.Step(now, 30*time.Second)+off)
}

func made(t testing.TB, name string, h oath.Hash, digits int, moving int64) string {
	t.Helper()
	g, err := oath.New(secret.New(bytesOf(name, 20)), h, digits)
	if err != nil {
		t.Fatal(err)
	}
	return g.Code(moving)
}

func layoutOf(t testing.TB, name string) modhex.Layout {
	t.Helper()
	all := modhex.Layouts()
	i := slices.IndexFunc(all, func(l modhex.Layout) bool { return l.Name == name })
	if i < 0 {
		t.Fatalf("no layout %s", name)
	}
	return all[i]
}

func typedOn(t testing.TB, name, text string) string {
	t.Helper()
	typed, ok := layoutOf(t, name).Type(text)
	if !ok {
		t.Fatalf("%s cannot type it", name)
	}
	return typed
}
