package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/oathaccount"
	"github.com/tokendesk/tokendesk/provision/oathapplet"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

func newOATHCmd(a *app) *cobra.Command {
	return group("oath", "Keep TOTP and HOTP accounts on a YubiKey",
		newOATHListCmd(a), newOATHAddCmd(a), newOATHCodeCmd(a), newOATHRenameCmd(a), newOATHDeleteCmd(a), newOATHPasswordCmd(a), newOATHResetCmd(a))
}

// oathChoice picks a key for its OATH application, and says where its password comes from.
type oathChoice struct {
	choice
	passwordFile string
}

func (c *oathChoice) flags(cmd *cobra.Command, a *app) {
	serialFlag(cmd, a, &c.serial)
	cmd.Flags().StringVar(&c.passwordFile, "password-file", "", "file whose first line is the password of the key's OATH application, where the store has none")
}

// oathKey is the unlocked OATH application of a held key.
type oathKey struct {
	*cardKey
	session *oathapplet.Session
}

// open holds the key and unlocks its OATH application by what the store keeps, or by what the operator gives, once. st may be nil.
func (c oathChoice) open(ctx context.Context, a *app, st *sqlstore.Store) (*oathKey, error) {
	k, err := c.openLocked(ctx, a)
	if err != nil {
		return nil, err
	}
	if err := a.unlockOATH(ctx, st, k, c.passwordFile); err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

// openLocked is open without unlocking.
func (c oathChoice) openLocked(ctx context.Context, a *app) (*oathKey, error) {
	card, err := c.choice.openCard(ctx, a)
	if err != nil {
		return nil, err
	}
	k := &oathKey{cardKey: card}
	if k.session, err = oathapplet.Open(ctx, card.card, a.rand); err != nil {
		card.close()
		return nil, err
	}
	return k, nil
}

// unlockOATH tries what the store keeps for this key. A password that is refused costs nothing there, but what the operator gives is
// tried once: another one is another command.
func (a *app) unlockOATH(ctx context.Context, st *sqlstore.Store, k *oathKey, file string) error {
	stale, err := k.unlockKept(ctx, st)
	if err != nil || !k.session.Info().Locked {
		return err
	}
	if file == "" && !a.stdinTTY {
		return problemf(exitRefused, "%s: a password guards its OATH accounts, and the store does not know it", k.name()).
			hint("commands of tokendesk oath take it: --password-file FILE; at a terminal all commands ask for it").
			hint("for good: tokendesk oath password --password-file FILE --new-password-file FILE").
			hint("without it the application can only be emptied: tokendesk oath reset")
	}
	if file == "" {
		file = "-"
	}
	typed, err := a.sharedSecret(ctx, file, "password of the OATH accounts of "+k.name())
	if err != nil {
		return err
	}
	defer typed.Destroy()
	if err := k.unlock(ctx, typed); err != nil || !stale {
		return err
	}
	a.say("note: the password that the store had is not the key's any more, and is forgotten")
	return st.SettleEscrow(ctx, k.serial, token.OATHPassword, 0)
}

// unlockKept unlocks the key if the store knows its password, and lets the store know which one that is. stale: it has some, and the key
// refused them all. st may be nil.
func (k *oathKey) unlockKept(ctx context.Context, st *sqlstore.Store) (stale bool, err error) {
	if st == nil || k.serial == 0 {
		return false, nil
	}
	kept, err := st.Escrows(ctx, k.serial, token.OATHPassword)
	if err != nil || len(kept) == 0 {
		return false, err
	}
	defer destroyEscrows(kept)
	if !k.session.Info().Locked { // it was taken away, or never got there
		return false, st.SettleEscrow(ctx, k.serial, token.OATHPassword, 0)
	}
	for _, e := range kept {
		err := k.unlock(ctx, e.Secret)
		switch {
		case errors.Is(err, oathapplet.ErrWrongPassword):
			continue
		case err == nil && (!e.Held || len(kept) > 1):
			return false, st.SettleEscrow(ctx, k.serial, token.OATHPassword, e.ID)
		}
		return false, err
	}
	return true, nil
}

func (k *oathKey) unlock(ctx context.Context, password secret.Bytes) error {
	key := oathapplet.DeriveKey(password, k.session.Info().Salt)
	defer key.Destroy()
	return k.session.Unlock(ctx, key)
}

// storeIfAny opens the store; nil where there is none, or what opens it is not here, which is said.
func (a *app) storeIfAny(ctx context.Context) (*sqlstore.Store, error) {
	st, err := a.openStore(ctx)
	var p *problem
	switch {
	case isNoStore(err):
		return nil, nil
	case errors.As(err, &p) && p.code == exitNotFound:
		a.say("note: what the store knows is left out: %s", p.line)
		return nil, nil
	}
	return st, err
}

func closeStore(st *sqlstore.Store) {
	if st != nil {
		_ = st.Close() // what counts is durable
	}
}

// liveAccounts are the credentials that the store has of a key's OATH application, by name, without secrets. st may be nil.
func liveAccounts(ctx context.Context, st *sqlstore.Store, serial token.Serial) (map[string]token.Credential, error) {
	out := map[string]token.Credential{}
	if st == nil || serial == 0 {
		return out, nil
	}
	_, live, err := st.Slots(ctx, serial)
	if errors.Is(err, token.ErrNotFound) {
		err = nil
	}
	for _, c := range live {
		c.Secrets.Destroy()
		c.Secrets = token.Secrets{}
		if c.Settings.Account != "" {
			out[c.Settings.Account] = c
		}
	}
	return out, err
}

// accountNamed is the one account that a query means: by its whole name, otherwise by a part of it, in either case.
func accountNamed(list []oathapplet.Account, query string) (oathapplet.Account, error) {
	if query == "" { // a part of every name
		return oathapplet.Account{}, usagef("the name of the account is empty")
	}
	var found []oathapplet.Account
	for _, a := range list {
		if a.ID() == query {
			return a, nil
		}
		if strings.Contains(strings.ToLower(printable(a.ID())), strings.ToLower(query)) {
			found = append(found, a)
		}
	}
	switch len(found) {
	case 0:
		return oathapplet.Account{}, problemf(exitNotFound, "the key has no account that fits %q", printable(query)).hint("see what there is: tokendesk oath list")
	case 1:
		return found[0], nil
	}
	var names []string
	for _, a := range found {
		names = append(names, fmt.Sprintf("%q", a.ID()))
	}
	return oathapplet.Account{}, problemf(exitAmbiguous, "%d accounts fit %q", len(found), printable(query)).hint("name one as a whole:\n%s", strings.Join(names, "\n"))
}

// parseAccount reads ISSUER:NAME, or NAME alone.
func parseAccount(text string) (issuer, name string, err error) {
	if strings.HasPrefix(text, ":") || strings.HasSuffix(text, ":") || text == "" {
		return "", "", usagef("an account is ISSUER:NAME, or NAME alone")
	}
	a := oathapplet.ParseID(text, token.HOTP) // which has no period in front
	return a.Issuer, a.Name, nil
}

// accountRow is an account as it is shown: never its secret, and its code only where that was asked for.
type accountRow struct {
	Serial  token.Serial `json:"serial"`
	Account string       `json:"account"` // as the key calls it
	Issuer  string       `json:"issuer,omitempty"`
	Name    string       `json:"name"`
	Type    token.Kind   `json:"type"`
	Hash    oath.Hash    `json:"hash,omitempty"`
	Digits  int          `json:"digits,omitempty"`
	Period  int          `json:"period,omitempty"` // seconds
	Touch   bool         `json:"touch"`
	State   string       `json:"state,omitempty"` // in the store
	Outcome string       `json:"outcome,omitempty"`
	Holder  string       `json:"holder,omitempty"`
	Proof   string       `json:"proof,omitempty"`
	handedOn
}

func accountRowOf(serial token.Serial, a oathapplet.Account) accountRow {
	r := accountRow{Serial: serial, Account: printable(a.ID()), Issuer: printable(a.Issuer), Name: printable(a.Name), Type: a.Kind, Hash: a.Hash, Digits: a.Digits, Touch: a.Touch}
	if a.Kind == token.TOTP {
		r.Period = int(oathaccount.SettingsOf(a, 0).Period / time.Second)
	}
	return r
}

// accountColumns are those of every account, followed by more.
func accountColumns(more ...column[accountRow]) []column[accountRow] {
	return append([]column[accountRow]{
		{"Serial", func(r accountRow) string { return r.Serial.String() }},
		{"Issuer", func(r accountRow) string { return r.Issuer }},
		{"Name", func(r accountRow) string { return r.Name }},
		{"Type", func(r accountRow) string { return string(r.Type) }},
		{"Hash", func(r accountRow) string { return string(r.Hash) }},
		{"Digits", func(r accountRow) string { return strings.TrimPrefix(fmt.Sprint(r.Digits), "0") }},
		{"Period", func(r accountRow) string { return seconds(r.Period) }},
		{"Touch", func(r accountRow) string { return yesNo(r.Touch) }},
	}, more...)
}
