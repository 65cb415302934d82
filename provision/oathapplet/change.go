package oathapplet

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// Delete removes an account for good. It wraps ErrNoAccount.
func (s *Session) Delete(ctx context.Context, a Account) error {
	if s.info.Locked {
		return fmt.Errorf("delete an OATH account: %w", ErrLocked)
	}
	data := apdu.AppendTLV(nil, tagName, []byte(a.ID()))
	if err := s.change(ctx, apdu.Command{Instruction: insDelete, Data: data}, meanings{statusNoObject: ErrNoAccount}); err != nil {
		return fmt.Errorf("delete an OATH account: %w", err)
	}
	return nil
}

// Rename gives an account another issuer and name, and returns it under them; the period stays. It fails before it writes
// with ErrNoAccount, an *ExistsError, an *AccountError, or a *ykslot.UnsupportedError below firmware 5.3.1.
func (s *Session) Rename(ctx context.Context, a Account, issuer, name string) (Account, error) {
	fail := func(err error) (Account, error) { return Account{}, fmt.Errorf("rename an OATH account: %w", err) }
	if v := s.info.Version; !v.AtLeast(5, 3, 1) {
		return fail(&ykslot.UnsupportedError{What: "renaming an OATH account", Needs: "5.3.1 or newer", Have: v})
	}
	to := a
	to.Issuer, to.Name = issuer, name
	if err := to.checkName(); err != nil {
		return fail(err)
	}
	list, err := s.List(ctx)
	if err != nil {
		return fail(err)
	}
	found := false
	for _, b := range list {
		if b.ID() == to.ID() {
			return fail(&ExistsError{ID: b.ID()})
		}
		found = found || b.ID() == a.ID()
	}
	if !found {
		return fail(ErrNoAccount)
	}
	data := apdu.AppendTLV(apdu.AppendTLV(nil, tagName, []byte(a.ID())), tagName, []byte(to.ID()))
	if err := s.change(ctx, apdu.Command{Instruction: insRename, Data: data}, meanings{statusNoObject: ErrNoAccount}); err != nil {
		return fail(err)
	}
	return to, nil
}

// Reset deletes all accounts and the password, and gives the key a new salt. It needs no password. If the key cannot be asked
// afterwards, the error wraps ykslot.ErrUnsettled.
func (s *Session) Reset(ctx context.Context) error {
	if err := s.change(ctx, apdu.Command{Instruction: insReset, P1: 0xDE, P2: 0xAD}, nil); err != nil {
		return fmt.Errorf("reset the OATH application: %w", err)
	}
	if err := s.enter(ctx); err != nil { // it is done, and nobody may take it for refused
		return fmt.Errorf("reset the OATH application: %w: look at what it left: %w", ykslot.ErrUnsettled, err)
	}
	return nil
}
