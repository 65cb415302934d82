package storetest

import (
	"context"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Faulty is a Ledger whose changes go through Call, which may fail one, or do it and let nobody learn of that.
type Faulty struct {
	Ledger
	Call func(do func() error) error
}

// Reserve is that of the Ledger.
func (f Faulty) Reserve(ctx context.Context, r token.Reservation) (e token.Entry, err error) {
	err = f.Call(func() error { e, err = f.Ledger.Reserve(ctx, r); return err })
	return e, err
}

// Seal is that of the Ledger.
func (f Faulty) Seal(ctx context.Context, id token.EntryID, s token.Secrets) error {
	return f.Call(func() error { return f.Ledger.Seal(ctx, id, s) })
}

// Mark is that of the Ledger.
func (f Faulty) Mark(ctx context.Context, id token.EntryID, p token.Phase) error {
	return f.Call(func() error { return f.Ledger.Mark(ctx, id, p) })
}

// Commit is that of the Ledger.
func (f Faulty) Commit(ctx context.Context, id token.EntryID, proof *token.Counters) error {
	return f.Call(func() error { return f.Ledger.Commit(ctx, id, proof) })
}

// Abort is that of the Ledger.
func (f Faulty) Abort(ctx context.Context, id token.EntryID, from token.Phase, reason string, former *token.Counters) error {
	return f.Call(func() error { return f.Ledger.Abort(ctx, id, from, reason, former) })
}
