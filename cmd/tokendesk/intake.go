package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/provision/batch"
	"github.com/tokendesk/tokendesk/provision/journal"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// intake is what the site wants of keys that come in to be written. nil wants nothing. It may be used by several goroutines.
type intake struct {
	a        *app
	proofs   proofs
	escrow   piv.Escrow
	openers  []token.Serial // keys that open this store; nobody means them who did not name them
	required bool           // keys must be proven genuine
	roots    piv.Roots
}

// proofs is where it is kept which keys are genuine: the store, or the journal of a station.
type proofs interface {
	// Proven reports whether a key was proven genuine before, by a root that is trusted now.
	Proven(ctx context.Context, serial token.Serial) (bool, error)
	KeepAttestation(ctx context.Context, at token.Attestation) error
}

var (
	_ proofs = (*sqlstore.Store)(nil)
	_ proofs = (*journal.Station)(nil)
)

// newIntake reads the site's rule.
func (a *app) newIntake(ctx context.Context, st *sqlstore.Store) (*intake, error) {
	rule, err := st.AttestationRule(ctx)
	if err != nil {
		return nil, err
	}
	i := &intake{a: a, proofs: st, escrow: st, required: rule.Required}
	if i.openers, err = a.openers(ctx); err != nil {
		return nil, err
	}
	return i, i.trust(rule.Roots)
}

// stationIntake is the site's rule as a station was told it.
func (a *app) stationIntake(s *journal.Station) (*intake, error) {
	told := s.Snapshot()
	i := &intake{a: a, proofs: s, escrow: noEscrow{}, openers: told.Openers, required: told.Genuine != nil}
	if !i.required {
		return i, nil
	}
	return i, i.trust([]byte(told.Genuine.Roots))
}

// trust reads the roots, if they are needed.
func (i *intake) trust(roots []byte) error {
	if !i.required {
		return nil
	}
	if err := i.roots.Add(roots); err != nil {
		return fmt.Errorf("the site's root certificates: %w", err)
	}
	return nil
}

// openers are the keys that open the sealing key of the store.
func (a *app) openers(ctx context.Context) ([]token.Serial, error) {
	p, err := a.paths()
	if err != nil {
		return nil, err
	}
	list, err := a.keyFile(ctx, p).Recipients()
	if err != nil {
		return nil, keyProblem(err, p.sealing)
	}
	serials := make([]token.Serial, len(list))
	for i, r := range list {
		serials[i] = token.Serial(r.Serial)
	}
	return serials, nil
}

// open is openKey, for keys that the site wants, and that were plugged in to be written.
func (i *intake) open(ctx context.Context, a *app, at usbhid.Attached, t transport) (*key, error) {
	k, err := openKey(ctx, a, at, t)
	if err != nil {
		return nil, err
	}
	if i != nil && slices.Contains(i.openers, k.serial) {
		k.close()
		return nil, &batch.UnwantedError{Serial: k.serial, Reason: token.AsideOpensStore, Err: errors.New("it opens the sealing key of this store")}
	}
	return i.admit(ctx, k, t)
}

// admit gives an open key back, also if it had to be closed and opened again to be attested. Otherwise it is closed; the error is a
// *batch.UnwantedError where the key is why. A key that tells no serial number is admitted: nothing writes it.
func (i *intake) admit(ctx context.Context, k *key, t transport) (*key, error) {
	if i == nil || !i.required || k.serial == 0 {
		return k, nil
	}
	known, err := i.proofs.Proven(ctx, k.serial)
	if known {
		return k, nil
	}
	told := keyTold{serial: k.serial}
	if err == nil {
		told.info, err = tellInfo(ctx, k.session)
	}
	k.close()
	if err != nil {
		return nil, err
	}
	if err := i.attest(ctx, k.attached, told); err != nil {
		return nil, err
	}
	again, err := openKey(ctx, i.a, k.attached, t)
	if err == nil && again.serial != told.serial {
		again.close()
		err = &batch.UnwantedError{Serial: told.serial, Reason: token.AsideNotGenuine, Err: fmt.Errorf("another key is at %s now", k.attached.Path)}
	}
	return again, err
}

// admitCard is admit for a key that is used as a smart card alone, and is not open.
func (i *intake) admitCard(ctx context.Context, c choice) error {
	if i == nil || !i.required {
		return nil
	}
	k, err := c.openCard(ctx, i.a)
	if err != nil {
		return err
	}
	told, err := k.tell(ctx)
	k.close()
	if err != nil || told.serial == 0 {
		return err
	}
	if known, err := i.proofs.Proven(ctx, told.serial); known || err != nil {
		return err
	}
	return i.attest(ctx, k.attached, told)
}

func (i *intake) attest(ctx context.Context, at usbhid.Attached, told keyTold) error {
	got, err := i.a.attestKey(ctx, at, attestation{roots: i.roots, told: told, escrow: i.escrow})
	if err == nil || errors.Is(err, piv.ErrNotGenuine) {
		if kept := i.proofs.KeepAttestation(ctx, attestationOf(got, told, err)); kept != nil {
			return kept
		}
	}
	var old *piv.UnsupportedError
	var none *problem
	switch {
	case err == nil:
		return nil
	case errors.Is(err, piv.ErrNotGenuine), errors.Is(err, piv.ErrManagementUnknown), errors.Is(err, piv.ErrNoApplet), errors.As(err, &old),
		errors.As(err, &none) && none.code == exitRefused:
		return &batch.UnwantedError{Serial: told.serial, Reason: token.AsideNotGenuine, Err: err}
	}
	return err
}

// explainGenuine: a key that the site does not want.
func explainGenuine(err error, x *explained) bool {
	var unwanted *batch.UnwantedError
	if !errors.As(err, &unwanted) {
		return false
	}
	if x.code, x.line = exitRefused, oneLine(unwanted); unwanted.Reason != token.AsideNotGenuine {
		return true
	}
	x.hints = []string{
		"put it aside, and look at it: tokendesk device attest",
		"its management key may be needed: tokendesk device attest --management-key-file FILE; what is proven once is known",
		"to write such keys too: tokendesk device genuine lift",
	}
	return true
}
