package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/journal"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// enroller is where a desk keeps what it does: the store, or a station's journal while there is no network.
type enroller interface {
	provision.Ledger
	// Search is desk.Desk's.
	Search(ctx context.Context, query string, most int) ([]desk.Hit, error)
	// PersonHolds is somebody and the tokens that are not given up; token.ErrNotFound.
	PersonHolds(ctx context.Context, account string) (token.Person, []token.Token, error)
	// Open are the unfinished writes, with their secrets, which the caller destroys.
	Open(ctx context.Context) ([]token.Entry, error)
	// Slots is a key and its live credentials, with their secrets, which the caller destroys; token.ErrNotFound.
	Slots(ctx context.Context, serial token.Serial) (token.Token, []token.Credential, error)
	// Bind, Ship, ReceiptOf and Retire are desk.Desk's.
	Bind(ctx context.Context, otp string, i desk.Issue) (token.Token, token.Receipt, desk.Proof, error)
	Ship(ctx context.Context, query string, s desk.Ship) (desk.Shipment, error)
	ReceiptOf(ctx context.Context, id token.ID) (token.Receipt, error)
	Retire(ctx context.Context, query, note string) (token.Token, error)
	// Profile is one that is offered; token.ErrNotFound.
	Profile(ctx context.Context, name string) (profile.Profile, error)
	// beside is the store that keeps what a key gets beside its slot; nil: none is at hand.
	beside() *sqlstore.Store
}

// online is the store.
type online struct {
	*sqlstore.Store
	d *desk.Desk
}

var _ enroller = online{}

// Search implements enroller.
func (o online) Search(ctx context.Context, query string, most int) ([]desk.Hit, error) {
	return o.d.Search(ctx, query, most)
}

// PersonHolds implements enroller.
func (o online) PersonHolds(ctx context.Context, account string) (token.Person, []token.Token, error) {
	p, err := o.d.Store.Person(ctx, account)
	if err != nil {
		return p, nil, err
	}
	list, err := o.d.Holds(ctx, account)
	return p, list, err
}

// Bind implements enroller.
func (o online) Bind(ctx context.Context, otp string, i desk.Issue) (token.Token, token.Receipt, desk.Proof, error) {
	return o.d.Bind(ctx, otp, i)
}

// Ship implements enroller.
func (o online) Ship(ctx context.Context, query string, s desk.Ship) (desk.Shipment, error) {
	return o.d.Ship(ctx, query, s)
}

// ReceiptOf implements enroller.
func (o online) ReceiptOf(ctx context.Context, id token.ID) (token.Receipt, error) {
	return o.d.ReceiptOf(ctx, id)
}

// Retire implements enroller.
func (o online) Retire(ctx context.Context, query, note string) (token.Token, error) {
	return o.d.Retire(ctx, query, note)
}

// Profile implements enroller.
func (o online) Profile(ctx context.Context, name string) (profile.Profile, error) {
	all, err := o.d.Profiles(ctx)
	for _, p := range all {
		if p.Name == name {
			return p.Profile, nil
		}
	}
	if err == nil {
		err = fmt.Errorf("profile: %w", token.ErrNotFound)
	}
	return profile.Profile{}, err
}

// beside implements enroller.
func (o online) beside() *sqlstore.Store { return o.Store }

// beside implements enroller.
func (offline) beside() *sqlstore.Store { return nil }

// storePatience bounds each call of a store that does not answer.
const storePatience = 15 * time.Second

// awayError is a failure of the store itself: the same may succeed later.
type awayError struct{ err error }

func (e *awayError) Error() string { return "the store does not answer: " + oneLine(e.err) }

// Unwrap is the cause.
func (e *awayError) Unwrap() error { return e.err }

// patient is an enroller that tells a store that does not answer from one that refuses, and waits for neither for ever.
type patient struct{ enroller }

// inTime runs one call.
func inTime[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	short, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	out, err := call(short)
	switch {
	case err == nil || ctx.Err() != nil || refusedByStore(err):
		return out, err
	}
	return out, &awayError{err}
}

func within(ctx context.Context, call func(context.Context) error) error {
	_, err := inTime(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, call(ctx) })
	return err
}

// refusedByStore reports whether an error is an answer: asking again would give the same.
func refusedByStore(err error) bool {
	for _, e := range []error{
		token.ErrNotFound, token.ErrDuplicate, token.ErrUnsettled, token.ErrConflict, token.ErrNewer, token.ErrWrongKey, token.ErrMoved, token.ErrIntegrity,
		desk.ErrHeld, journal.ErrOver, journal.ErrMost, journal.ErrNeedsServer, journal.ErrHeld, errOnlineOnly,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	var state *token.TransitionError
	var text *desk.TextError
	var several *desk.AmbiguousError
	var locked *desk.LockedError
	return errors.As(err, &state) || errors.As(err, &text) || errors.As(err, &several) || errors.As(err, &locked)
}

// Reserve implements provision.Ledger.
func (p patient) Reserve(ctx context.Context, r token.Reservation) (token.Entry, error) {
	return inTime(ctx, func(ctx context.Context) (token.Entry, error) { return p.enroller.Reserve(ctx, r) })
}

// Seal implements provision.Ledger.
func (p patient) Seal(ctx context.Context, id token.EntryID, s token.Secrets) error {
	return within(ctx, func(ctx context.Context) error { return p.enroller.Seal(ctx, id, s) })
}

// Mark implements provision.Ledger.
func (p patient) Mark(ctx context.Context, id token.EntryID, to token.Phase) error {
	return within(ctx, func(ctx context.Context) error { return p.enroller.Mark(ctx, id, to) })
}

// Commit implements provision.Ledger.
func (p patient) Commit(ctx context.Context, id token.EntryID, proof *token.Counters) error {
	return within(ctx, func(ctx context.Context) error { return p.enroller.Commit(ctx, id, proof) })
}

// Abort implements provision.Ledger.
func (p patient) Abort(ctx context.Context, id token.EntryID, from token.Phase, reason string, former *token.Counters) error {
	return within(ctx, func(ctx context.Context) error { return p.enroller.Abort(ctx, id, from, reason, former) })
}

// Search implements enroller.
func (p patient) Search(ctx context.Context, query string, most int) ([]desk.Hit, error) {
	return inTime(ctx, func(ctx context.Context) ([]desk.Hit, error) { return p.enroller.Search(ctx, query, most) })
}

// Open implements enroller.
func (p patient) Open(ctx context.Context) ([]token.Entry, error) {
	return inTime(ctx, p.enroller.Open)
}

// Retire implements enroller.
func (p patient) Retire(ctx context.Context, query, note string) (token.Token, error) {
	return inTime(ctx, func(ctx context.Context) (token.Token, error) { return p.enroller.Retire(ctx, query, note) })
}

// ReceiptOf implements enroller.
func (p patient) ReceiptOf(ctx context.Context, id token.ID) (token.Receipt, error) {
	return inTime(ctx, func(ctx context.Context) (token.Receipt, error) { return p.enroller.ReceiptOf(ctx, id) })
}

// PersonHolds implements enroller.
func (p patient) PersonHolds(ctx context.Context, account string) (who token.Person, list []token.Token, err error) {
	who, err = inTime(ctx, func(ctx context.Context) (one token.Person, err error) {
		one, list, err = p.enroller.PersonHolds(ctx, account)
		return one, err
	})
	return who, list, err
}

// Slots implements enroller.
func (p patient) Slots(ctx context.Context, serial token.Serial) (k token.Token, list []token.Credential, err error) {
	k, err = inTime(ctx, func(ctx context.Context) (one token.Token, err error) {
		one, list, err = p.enroller.Slots(ctx, serial)
		return one, err
	})
	return k, list, err
}

// Ship implements enroller.
func (p patient) Ship(ctx context.Context, query string, s desk.Ship) (desk.Shipment, error) {
	return inTime(ctx, func(ctx context.Context) (desk.Shipment, error) { return p.enroller.Ship(ctx, query, s) })
}

// Bind implements enroller.
func (p patient) Bind(ctx context.Context, otp string, i desk.Issue) (k token.Token, r token.Receipt, proof desk.Proof, err error) {
	k, err = inTime(ctx, func(ctx context.Context) (one token.Token, err error) {
		one, r, proof, err = p.enroller.Bind(ctx, otp, i)
		return one, err
	})
	return k, r, proof, err
}
