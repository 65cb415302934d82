// Package diagnose says why a one-time password or code was refused, and what to do about it: the catalogue D01 to D37 of
// PRODUCT.md §3.h. It decides nothing, spends nothing and never repeats what was typed.
//
// A Doctor gathers Evidence about a Question from a Store: features of the text, the credentials of the person or token in any
// state, credentials of others with the same public ID, hypotheses about codes, counters, throttle and health. Recognisers,
// one for each code, are pure functions of the Evidence. Their findings come most likely first; several may hold at once.
package diagnose

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// Doctor finds causes. It may be used from any number of goroutines if its fields may.
type Doctor struct {
	Store Store
	Now   func() time.Time
}

// Question is what was refused and for whom.
type Question struct {
	Account, Serial string            // at most one; both empty: nobody in particular. Serial also matches a label
	Text            string            // as typed
	Status          string            // what the client's side was told or says of its request: "BAD_SIGNATURE"; "": nothing
	Checked         *validate.Checked // what the check of it just now said; nil: it was not checked
}

// Finding is one cause that holds.
type Finding struct {
	Code     string `json:"code"`     // "D05"
	Title    string `json:"title"`    // "keyboard layout"
	Cause    string `json:"cause"`    // a sentence
	Evidence string `json:"evidence"` // why it is believed; neither typed text nor a secret
	User     string `json:"user"`     // advice for who typed it
	Helper   string `json:"helper"`   // advice for staff
	Action   string `json:"action"`   // a command; "": none

	public string // evidence that may be shown before a first factor; "": the finding may not
}

// Attempt is a refusal that is kept under its support code. Nothing typed is in it.
type Attempt struct {
	Code     string // support code, normalised
	At       time.Time
	Client   int64
	Source   string
	Person   *token.Person // nil: unknown
	Token    token.ID      // 0: unknown
	Findings []Finding
}

// How attempts are kept.
const (
	KeepTime     = 24 * time.Hour
	MaxAttempts  = 100_000 // the oldest go first
	SupportChars = 8       // characters of a support code
)

// Store is what a Doctor looks things up in. It only reads, except KeepAttempt.
type Store interface {
	// Subject is a person by account or a token by serial or label, with everything that belongs to it; of a token that somebody
	// holds, with all that person's. The zero Subject if it is unknown.
	Subject(ctx context.Context, account, serial string) (Subject, error)
	// Holders are the Yubico OTP credentials in any state with one of these public IDs, live ones first.
	Holders(ctx context.Context, ids []token.PublicID) ([]Held, error)
	// CredentialSecrets opens the secrets of a credential, which the caller destroys; empty ones if they were deleted.
	CredentialSecrets(ctx context.Context, id token.CredentialID) (token.Secrets, error)
	// Health is the state of the store and what it knows of the clock.
	Health(ctx context.Context) (Health, error)
	// KeepAttempt keeps a; token.ErrDuplicate if the code is taken. The oldest are dropped beyond MaxAttempts.
	KeepAttempt(ctx context.Context, a Attempt) error
	// FindAttempt is the attempt with this code; token.ErrNotFound.
	FindAttempt(ctx context.Context, code string) (Attempt, error)
}

// Held is a credential and the token that it is on.
type Held struct {
	Token      token.Token
	Credential token.Credential // without secrets
}

// revoked reports whether the credential or its token is out of use for good.
func (h Held) revoked() bool {
	return h.Credential.State == token.Revoked || h.Token.State == token.Revoked
}

// Subject is a person or a token with everything of it.
type Subject struct {
	Person *token.Person // nil: nobody holds the token, or it is unknown
	Token  token.ID      // the token that was named; 0: a person was
	Held   []Held        // all credentials in any state, by number
	// Failures in a row and when the last was, by the throttle.
	Failures int
	FailedAt time.Time
}

// Known reports whether the store has it.
func (s Subject) Known() bool { return s.Person != nil || s.Token != 0 }

// Health is how the server is.
type Health struct {
	ReadOnly bool          // nothing can be written: D35
	Clock    time.Duration // how far the clock is behind the newest event of the store; 0 or less: healthy (D33)
}

// Diagnose says why, most likely first. The error is the store's.
func (d *Doctor) Diagnose(ctx context.Context, q Question) ([]Finding, error) {
	e, err := d.gather(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("diagnose: %w", err)
	}
	return recognise(e), nil
}

// Keep keeps an attempt under its support code, as token.NormaliseSpoken gives it. token.ErrDuplicate: draw another.
func (d *Doctor) Keep(ctx context.Context, code string, a Attempt) error {
	a.Code = code
	if a.At.IsZero() {
		a.At = d.Now()
	}
	if err := d.Store.KeepAttempt(ctx, a); err != nil {
		return fmt.Errorf("keep attempt: %w", err)
	}
	return nil
}

// Attempt is what was kept under a support code; token.ErrNotFound when it is unknown or older than KeepTime.
func (d *Doctor) Attempt(ctx context.Context, code string) (Attempt, error) {
	a, err := d.Store.FindAttempt(ctx, code)
	if err == nil && d.Now().Sub(a.At) > KeepTime {
		a, err = Attempt{}, token.ErrNotFound
	}
	if err != nil {
		return Attempt{}, fmt.Errorf("find attempt: %w", err)
	}
	return a, nil
}

// Public are the findings that may be shown before a first factor was proven: those of D01 to D09 that the text shows by
// itself, in the order of their codes, with what the text shows as their evidence. So they tell nothing about persons and tokens. They
// are of Diagnose's answer as it came, not of a kept attempt.
func Public(list []Finding) []Finding {
	var out []Finding
	for _, f := range list {
		if f.Code <= "D09" && f.public != "" {
			f.Evidence, f.Action, f.Helper = f.public, "", ""
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b Finding) int { return strings.Compare(a.Code, b.Code) })
	return out
}
