package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/batch"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// intake is what the site wants of keys that come in to be written. nil wants nothing. It may be used by several goroutines.
type intake struct {
	a        *app
	st       *sqlstore.Store
	openers  []seal.Recipient // of this store; nobody means them who did not name them
	required bool             // keys must be proven genuine
	roots    piv.Roots
	prints   []string // of their certificates
}

// newIntake reads the site's rule.
func (a *app) newIntake(ctx context.Context, st *sqlstore.Store) (*intake, error) {
	rule, err := st.AttestationRule(ctx)
	if err != nil {
		return nil, err
	}
	p, err := a.paths()
	if err != nil {
		return nil, err
	}
	i := &intake{a: a, st: st, required: rule.Required}
	if i.openers, err = a.keyFile(ctx, p).Recipients(); err != nil {
		return nil, keyProblem(err, p.sealing)
	}
	if !i.required {
		return i, nil
	}
	if err := i.roots.Add(rule.Roots); err != nil {
		return nil, fmt.Errorf("the site's root certificates: %w", err)
	}
	for _, c := range certificatesOf(rule.Roots) {
		i.prints = append(i.prints, sumOf(c.Raw))
	}
	return i, nil
}

// open is openKey, for keys that the site wants, and that were plugged in to be written.
func (i *intake) open(ctx context.Context, a *app, at usbhid.Attached, t transport) (*key, error) {
	k, err := openKey(ctx, a, at, t)
	if err != nil {
		return nil, err
	}
	if i != nil && slices.ContainsFunc(i.openers, func(r seal.Recipient) bool { return token.Serial(r.Serial) == k.serial }) {
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
	known, err := i.knows(ctx, k.serial)
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
	if known, err := i.knows(ctx, told.serial); known || err != nil {
		return err
	}
	return i.attest(ctx, k.attached, told)
}

// knows reports whether a key was proven genuine before, by a root that is trusted now.
func (i *intake) knows(ctx context.Context, serial token.Serial) (bool, error) {
	known, err := i.st.Attestation(ctx, serial)
	if errors.Is(err, token.ErrNotFound) {
		return false, nil
	}
	return err == nil && known.Genuine() && slices.Contains(i.prints, known.Root), err
}

func (i *intake) attest(ctx context.Context, at usbhid.Attached, told keyTold) error {
	got, err := i.a.attestKey(ctx, at, attestation{roots: i.roots, told: told, escrow: i.st})
	if err == nil || errors.Is(err, piv.ErrNotGenuine) {
		if kept := i.st.KeepAttestation(ctx, attestationOf(got, told, err)); kept != nil {
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
