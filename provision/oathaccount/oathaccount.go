// Package oathaccount puts accounts into a YubiKey's OATH application in the one order that loses nothing:
//
//	reserve → sealed record durable → put → calculate → compare with the server's view → commit
//
// It is package provision for accounts instead of slots, and shares its Ledger, its results and its errors. An account is found by its
// name, so what the key does with a name that it has already decides who may overwrite what: BuildPlan reads like that policy.
//
//	have := oathaccount.Have{…, Class: class}              // class by Classify, which looks at the key
//	plan, err := oathaccount.BuildPlan(want, have)
//	result, err := runner.Run(ctx, session, plan)          // after an *provision.UncertainError: Resume
//
// The comparison uses up nothing that its holder could want: of TOTP the code is not shown to anybody, and stays good; of HOTP it is
// one value of the key's counter, which the store then knows as used.
package oathaccount

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/oathapplet"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot"
)

// Card is the unlocked OATH application of one key, an *oathapplet.Session outside tests. It belongs to the goroutine that runs.
// An error of a change that wraps ykslot.ErrUnsettled means that the key may be as before or as after it; any other, as before.
type Card interface {
	List(ctx context.Context) ([]oathapplet.Account, error)
	// Check is how Put, or Replace, would fail before it writes.
	Check(ctx context.Context, a oathapplet.Account, seed secret.Bytes, moving int64, replace bool) error
	Put(ctx context.Context, a oathapplet.Account, seed secret.Bytes, moving int64) error
	Replace(ctx context.Context, a oathapplet.Account, seed secret.Bytes, moving int64) error
	Calculate(ctx context.Context, a oathapplet.Account, now time.Time) (oathapplet.Code, error)
	Delete(ctx context.Context, a oathapplet.Account) error
	Rename(ctx context.Context, a oathapplet.Account, issuer, name string) (oathapplet.Account, error)
	Reset(ctx context.Context) error
}

var _ Card = (*oathapplet.Session)(nil)

// Spec is what the operator wants.
type Spec struct {
	Account   oathapplet.Account
	Seed      secret.Bytes        // empty: a fresh one is drawn, as long as the hash. The caller destroys it
	Moving    int64               // HOTP: the moving factor of the first code
	Holder    *token.Person       // nil: whoever has it
	Elsewhere bool                // another service checks the codes: its secret is kept only until the key has it
	Verify    token.ProofRequired // token.ByHost, or token.NoProof
	Overwrite bool                // an account of that name that is not ours may be lost
	Reason    string              // needed with Overwrite
	Reassign  bool                // take a key from another person
	Handover  token.Handover
}

// Have is what the key and the store say. Token and Former are zero for what the store has never seen.
type Have struct {
	Serial   token.Serial
	Firmware ykslot.Version
	Applet   ykslot.Version // what the OATH application says of itself: of a NEO not the firmware
	Token    token.Token
	Former   *token.Credential // live in the store under that name
	Class    provision.Class   // by Classify
}

// Plan is what will be done.
type Plan struct {
	Class       provision.Class
	Reservation token.Reservation
	Former      *token.Credential

	want Spec
}

// Account is what the key will be given.
func (p Plan) Account() oathapplet.Account { return p.want.Account }

// Fresh reports whether the secret is drawn.
func (p Plan) Fresh() bool { return p.want.Seed.Len() == 0 }

// The reasons to refuse an account, beside those of package provision and *oathapplet.AccountError.
var (
	// ErrNotOurs: the key has an account of that name that this store did not put there.
	ErrNotOurs = errors.New("the key has an account of that name that is not of this store")
	// ErrMismatch: the key makes other codes of the account than the server expects.
	ErrMismatch = errors.New("the key makes other codes than the server expects")
	// ErrSteam: no server here checks Steam's codes.
	ErrSteam = errors.New("codes of Steam are checked by Steam alone")
)

// BuildPlan decides. It reads no key and no clock, and draws nothing. The error is a *provision.RefusedError.
func BuildPlan(want Spec, have Have) (Plan, error) {
	refused := func(detail string, err error) (Plan, error) {
		return Plan{}, &provision.RefusedError{Serial: have.Serial, Class: have.Class, Detail: detail, Err: err}
	}
	if want.Verify != token.ByHost && want.Verify != token.NoProof {
		return refused("an account is verified by a code or not", provision.ErrBadSpec)
	}
	a := want.Account
	if err := oathapplet.Supported(have.Applet, a, seedLen(want), want.Moving); err != nil {
		var bad *oathapplet.AccountError
		if errors.As(err, &bad) {
			return refused(bad.Error(), provision.ErrBadSpec)
		}
		return refused("", err)
	}
	h := have.Token.Holder
	switch {
	case have.Serial == 0:
		return refused("", provision.ErrNoSerial)
	case have.Token.State.Blocked():
		return refused(string(have.Token.State), provision.ErrBlocked)
	case a.Steam() && !want.Elsewhere:
		return refused("", ErrSteam)
	case want.Elsewhere && want.Holder != nil:
		return refused("whose codes another service checks says nothing about who holds the key", provision.ErrBadSpec)
	case h != nil && want.Holder != nil && h.ID != want.Holder.ID && !want.Reassign:
		return refused(h.Account, provision.ErrHeld)
	case have.Class == provision.Foreign && !want.Overwrite:
		return refused(fmt.Sprintf("%q", a.ID()), ErrNotOurs)
	case have.Class == provision.Foreign && want.Reason == "":
		return refused("", provision.ErrNoReason)
	}
	want.Moving = firstMoving(want, have.Former)
	if f := have.Former; a.Kind == token.HOTP && f != nil && f.Kind == a.Kind && want.Seed.Len() > 0 && f.Secrets.Key.Equal(want.Seed) {
		want.Moving = max(want.Moving, next(*f)) // the same codes: what was used of them stays used
	}
	p := Plan{Class: have.Class, Former: have.Former, want: want, Reservation: token.Reservation{
		Serial: have.Serial, Firmware: have.Firmware.String(), Kind: a.Kind, Proof: want.Verify, Elsewhere: want.Elsewhere,
		Settings: SettingsOf(a, want.Moving), Holder: holderID(want, have), Reason: want.Reason, Handover: want.Handover,
	}}
	p.Reservation.Settings.Shared = !p.Fresh() // whoever brought it may know it
	if have.Class == provision.Foreign {
		p.Reservation.Overwrite = string(provision.Foreign)
	}
	return p, nil
}

// firstMoving keeps an HOTP account that gets its former secret again from going back to codes that were used.
func firstMoving(want Spec, former *token.Credential) int64 {
	if former == nil || want.Elsewhere || want.Account.Kind != token.HOTP || former.Kind != token.HOTP {
		return want.Moving
	}
	if !bytes.Equal(bytes.TrimRight(want.Seed.Reveal(), "\x00"), bytes.TrimRight(former.Secrets.Key.Reveal(), "\x00")) {
		return want.Moving
	}
	return max(want.Moving, former.Counters.Moving+1)
}

// holderID keeps the present holder when none is named.
func holderID(want Spec, have Have) token.PersonID {
	switch {
	case want.Elsewhere:
		return 0
	case want.Holder != nil:
		return want.Holder.ID
	case have.Token.Holder != nil:
		return have.Token.Holder.ID
	}
	return 0
}

// SettingsOf is what the store keeps of an account.
func SettingsOf(a oathapplet.Account, moving int64) token.Settings {
	s := token.Settings{Digits: a.Digits, Hash: string(a.Hash), Issuer: a.Issuer, Account: a.ID(), Touch: a.Touch, FirstMoving: moving}
	if a.Kind == token.TOTP {
		s.Period = a.Period
		if s.Period == 0 {
			s.Period = oathapplet.DefaultPeriod
		}
	}
	return s
}

// AccountOf is the account of a credential.
func AccountOf(c token.Credential) oathapplet.Account {
	a := oathapplet.ParseID(c.Settings.Account, c.Kind)
	a.Hash, a.Digits, a.Touch = oath.Hash(c.Settings.Hash), c.Settings.Digits, c.Settings.Touch
	return a
}

// seedLens are the lengths of fresh seeds by hash, in bytes: that of the hash. Source: RFC 6238, errata 2866.
var seedLens = map[oath.Hash]int{oath.SHA1: 20, oath.SHA256: 32, oath.SHA512: 64}

func seedLen(want Spec) int {
	if n := want.Seed.Len(); n > 0 {
		return n
	}
	return seedLens[want.Account.Hash]
}
