package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

func newPIVCmd(a *app) *cobra.Command {
	return group("piv", "Set up the PIV application of a key: PIN, PUK, keys and certificates",
		newPIVStatusCmd(a), newPIVInitCmd(a), newPIVGenerateCmd(a), newPIVCSRCmd(a), newPIVImportCmd(a), newPIVAttestCmd(a), newPIVUnblockCmd(a),
		newPIVResetCmd(a), newPIVSecretCmd(a))
}

// pivBus is a bus whose keys' PIV applications can be reached.
type pivBus interface {
	// openPIV holds the PIV application of a key until it is closed.
	openPIV(ctx context.Context, k usbhid.Attached) (piv.Card, error)
}

// pivOptions are the flags of every command that opens the PIV application.
type pivOptions struct {
	serial               uint32
	pin, puk, management string // files with what the key has now
	lastTry              bool
}

func (o *pivOptions) flags(cmd *cobra.Command, a *app) {
	serialFlag(cmd, a, &o.serial)
}

// managementFlag is for commands that change what is on the key.
func (o *pivOptions) managementFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.management, "management-key-file", "", "file with the key's management key in hexadecimal, when it is not the store's; - asks for it")
}

// pinFlag is for commands that need the PIN.
func (o *pivOptions) pinFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.pin, "pin-file", "", "file with the key's PIN, when it is not the store's; - asks for it")
	o.lastTryFlag(cmd, "PIN")
}

// pukFlag is for commands that need the PUK.
func (o *pivOptions) pukFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.puk, "puk-file", "", "file with the key's PUK, when it is not the store's; - asks for it")
	o.lastTryFlag(cmd, "PUK")
}

func (o *pivOptions) lastTryFlag(cmd *cobra.Command, what string) {
	if cmd.Flags().Lookup("last-try") == nil {
		cmd.Flags().BoolVar(&o.lastTry, "last-try", false, "use the one try that is left for the "+what+"; a wrong one blocks it")
	}
}

// onlyOneTyped refuses two secrets from one standard input; a terminal is asked for each.
func (a *app) onlyOneTyped(files ...string) error {
	n := 0
	for _, f := range files {
		if f == "-" {
			n++
		}
	}
	if n > 1 && !a.stdinTTY {
		return usagef("only one secret can be read from standard input").hint("name a file for the others")
	}
	return nil
}

// given reads what the operator has of the key. The caller destroys it.
func (o *pivOptions) given(ctx context.Context, a *app) (g piv.Given, err error) {
	if err := a.onlyOneTyped(o.pin, o.puk, o.management); err != nil {
		return g, err
	}
	g.LastTry = o.lastTry
	for _, read := range []struct {
		file, what string
		into       *secret.Bytes
	}{{o.pin, "PIN of the key", &g.PIN}, {o.puk, "PUK of the key", &g.PUK}} {
		if *read.into, err = a.sharedSecret(ctx, read.file, read.what); err != nil {
			destroyGiven(g)
			return g, err
		}
	}
	if g.Management, err = a.hexSecret(ctx, o.management, "Management key of the key, in hexadecimal"); err != nil {
		destroyGiven(g)
	}
	return g, err
}

func destroyGiven(g piv.Given) {
	g.PIN.Destroy()
	g.PUK.Destroy()
	g.Management.Destroy()
}

// hexSecret is sharedSecret for hexadecimal text.
func (a *app) hexSecret(ctx context.Context, file, what string) (secret.Bytes, error) {
	text, err := a.sharedSecret(ctx, file, what)
	if err != nil || text.Len() == 0 {
		return text, err
	}
	defer text.Destroy()
	raw := make([]byte, hex.DecodedLen(text.Len()))
	n, err := hex.Decode(raw, text.Reveal())
	if err != nil {
		clear(raw)
		return secret.Bytes{}, usagef("%s: that is not hexadecimal", what)
	}
	return secret.New(raw[:n]), nil
}

// pivSession is the PIV application of one key, with the store that has its secrets.
type pivSession struct {
	a      *app
	st     *sqlstore.Store
	card   piv.Card
	facts  piv.Facts // as it was when it was opened
	given  piv.Given
	runner piv.Runner
	had    map[token.EscrowKind]token.EscrowID // the PIN and PUK that the store had then; 0: none, or several
}

// withPIV opens the store and the PIV application of the chosen key, and gives both back.
func (a *app) withPIV(ctx context.Context, o pivOptions, act func(*pivSession) error) error {
	given, err := o.given(ctx, a)
	if err != nil {
		return err
	}
	defer destroyGiven(given)
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	card, f, err := a.choosePIV(ctx, token.Serial(o.serial))
	if err != nil {
		return err
	}
	defer func() { _ = card.Close() }() // what counts is done
	s, err := a.pivSession(ctx, st, card, f, given)
	if err != nil {
		return err
	}
	return act(s)
}

func (a *app) pivSession(ctx context.Context, st *sqlstore.Store, card piv.Card, f piv.Facts, g piv.Given) (*pivSession, error) {
	s := &pivSession{a: a, st: st, card: card, facts: f, given: g, had: map[token.EscrowKind]token.EscrowID{}}
	for _, what := range []token.EscrowKind{token.PIVPIN, token.PIVPUK} {
		list, err := st.Escrows(ctx, f.Serial, what)
		if err != nil {
			return nil, err
		}
		destroyEscrows(list)
		if len(list) == 1 {
			s.had[what] = list[0].ID
		}
	}
	s.runner = piv.Runner{
		Escrow: st, Rand: a.rand, Now: a.now,
		Begin: func(step piv.Step) { a.say("%s …", pivStepText(step)) },
		Touch: a.touchNow(f),
	}
	return s, nil
}

// touchNow says that a key must be touched, and for which of its slots.
func (a *app) touchNow(f piv.Facts) func(piv.Slot) {
	return func(slot piv.Slot) { a.sayBlinks("touch key %s when it blinks: slot %v wants it", f.Serial, slot) }
}

// name is how messages call the key.
func (s *pivSession) name() string { return "key " + s.facts.Serial.String() }

// choosePIV opens the PIV application of a key: with a serial number of that one, otherwise of the only one.
func (a *app) choosePIV(ctx context.Context, serial token.Serial) (piv.Card, piv.Facts, error) {
	a.giveBack()
	all, err := a.attached(ctx, viaCCID)
	if err != nil {
		return nil, piv.Facts{}, err
	}
	usable := a.reached(all, viaCCID)
	switch {
	case len(all) == 0:
		return nil, piv.Facts{}, nothingUsable(nil, viaCCID)
	case len(usable) == 0:
		return nil, piv.Facts{}, problemf(exitDevice, "the attached key is no smart card (%s: %s)", all[0].Path, all[0].Model.Interfaces).
			hint("%s", switchOn(all[0], "piv"))
	case serial == 0 && len(usable) > 1:
		return nil, piv.Facts{}, severalKeys(a.survey(ctx, usable, viaCCID))
	}
	b, ok := a.bus.(pivBus)
	if !ok {
		return nil, piv.Facts{}, fmt.Errorf("PIV: %w", usbhid.ErrNotBuiltIn)
	}
	var failed error
	for _, at := range usable {
		card, f, err := openFacts(ctx, b, at)
		switch {
		case err != nil:
			failed = errors.Join(failed, err)
		case serial == 0 || f.Serial == serial:
			return card, f, nil
		default:
			_ = card.Close() // it was only asked for its serial number
		}
	}
	if failed != nil && (len(usable) == 1 || ctx.Err() != nil) {
		return nil, piv.Facts{}, failed
	}
	return nil, piv.Facts{}, noSuchCard(serial, failed)
}

func openFacts(ctx context.Context, b pivBus, at usbhid.Attached) (piv.Card, piv.Facts, error) {
	card, err := b.openPIV(ctx, at)
	if err != nil {
		return nil, piv.Facts{}, err
	}
	f, err := card.Facts(ctx)
	if err != nil {
		return nil, f, errors.Join(err, card.Close())
	}
	return card, f, nil
}

// stale looks at an error: a PIN or PUK of the store that the key refused is forgotten, so that no later command tries it again.
func (s *pivSession) stale(ctx context.Context, err error) error {
	var wrong *piv.PINError
	if !errors.As(err, &wrong) {
		return err
	}
	given, ref := s.given.PIN, s.facts.PIN
	if wrong.What == token.PIVPUK {
		given, ref = s.given.PUK, s.facts.PUK
	}
	if given.Len() > 0 || ref.Default == piv.Yes || ref.Blocked() || s.had[wrong.What] == 0 {
		return err
	}
	if err := s.st.ForgetEscrow(context.WithoutCancel(ctx), s.facts.Serial, wrong.What, s.had[wrong.What]); err != nil {
		return errors.Join(wrong, err)
	}
	s.a.say("note: the %s that the store had is not the key's any more, and is forgotten", escrowName(wrong.What))
	return err
}

// escrowName is how people call a kind of secret.
func escrowName(k token.EscrowKind) string {
	switch k {
	case token.LockCode:
		return "lock code"
	case token.OATHPassword:
		return "OATH password"
	case token.PIVPIN:
		return "PIN"
	case token.PIVPUK:
		return "PUK"
	case token.PIVManagementKey:
		return "management key"
	}
	return string(k)
}
