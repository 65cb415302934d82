package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/oathaccount"
	"github.com/tokendesk/tokendesk/provision/token"
)

// settleAccount ends an entry of an account, with its key if one byte may have been sent to it.
func (r *resumption) settleAccount(ctx context.Context, e token.Entry) (provision.Result, error) {
	w := cardWork{app: r.a, st: r.st}
	run := w.accountRunner(false)
	if !provision.NeedsDevice(e) {
		return run.Resume(ctx, nil, e) // which gives it up
	}
	k, err := r.openAccounts(ctx, e.Serial)
	if err != nil {
		return provision.Result{}, err
	}
	defer k.close()
	r.a.say("%s, %s: interrupted at phase %q", k.name(), e.Place(), e.Phase)
	return run.Resume(ctx, k.session, e)
}

func (r *resumption) openAccounts(ctx context.Context, serial token.Serial) (*oathKey, error) {
	at := oathChoice{choice: r.choice}
	at.serial = uint32(serial)
	return at.open(ctx, r.a, r.st)
}

// changeAccounts settles a change of accounts with its key. After a reset that went through the password is gone, and before it the key may be
// locked by one that nobody here knows: that alone says that it did not happen.
func (r *resumption) changeAccounts(ctx context.Context, c token.SlotChange) (done bool, err error) {
	at := oathChoice{choice: r.choice}
	at.serial = uint32(c.Serial)
	k, err := at.openLocked(ctx, r.a)
	if err != nil {
		return false, err
	}
	defer k.close()
	r.a.say("%s: the %s was interrupted", k.name(), c.Work)
	locked := k.session.Info().Locked
	if c.Work != token.ResetOATH || !locked {
		if err := r.a.unlockOATH(ctx, r.st, k, ""); err != nil {
			return false, err
		}
	}
	live, err := liveAccounts(ctx, r.st, c.Serial)
	if err != nil {
		return false, err
	}
	run := oathaccount.Runner{Ledger: r.st, Rand: r.a.rand, Now: r.a.now}
	return run.ResumeChange(ctx, r.st, k.session, c, slices.Collect(maps.Keys(live)), locked)
}

// writtenAccount is an account in the list of what was settled.
func writtenAccount(res provision.Result) written {
	row := resultRow(res)
	return written{Serial: row.Serial, Kind: row.Type, Account: row.Account, Outcome: res.Outcome, Holder: row.Holder, AccessCode: "none", Proof: row.Proof}
}

// unsettledAccount is an open entry of an account as resume --dry-run shows it.
func unsettledAccount(e token.Entry) unsettled {
	u := unsettled{Serial: e.Serial, Account: printable(e.Credential.Settings.Account), Phase: e.Phase}
	switch {
	case !e.Phase.Uncertain():
		u.Holds, u.Next = "what it held before", "gives the reservation up, without the key"
	case e.Phase == token.Written:
		u.Holds, u.Next = "the new account, not proven", "asks the key for a code"
	default:
		u.Holds, u.Next = "the new account, or what it held before", "asks the key for a code"
	}
	return u
}

// unsettledAccounts is an open change of accounts.
func unsettledAccounts(c token.SlotChange) unsettled {
	u := unsettled{Serial: c.Serial, Account: printable(c.Account), Phase: c.Phase, Next: "asks the key, and does it again"}
	switch c.Work {
	case token.ResetOATH:
		u.Account, u.Holds, u.Next = "all", "its accounts, or none", "asks the key; a reset is not done again"
	case token.RenameAccount:
		u.Holds = fmt.Sprintf("the account under this name, or under %q", printable(c.After.Account))
	default:
		u.Holds = "the account, or nothing of this name"
	}
	return u
}
