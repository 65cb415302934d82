package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// pivInitOptions are the flags of piv init.
type pivInitOptions struct {
	pivOptions
	newPIN             string // file
	pinTries, pukTries string
	key                pivKeyOptions
	letter             letterOptions
	reset              bool
	reason             string
	yes, dryRun        bool
	again              string // the command that finishes it
}

func newPIVInitCmd(a *app) *cobra.Command {
	var o pivInitOptions
	cmd := &cobra.Command{
		Use: "init", Short: "Set a key's PIV application up: PIN, PUK, management key, and a key with its certificate", Args: args(0, 0, ""),
		Long: `Replace what a new key has: a random PIN (or the one of --new-pin-file), a random PUK, a random management key. Each is durable and
sealed in the store before the key gets it. With --slot a key is generated on the card, and with --csr FILE a request for the site's
certificate authority is made, or with --self-signed a certificate.

If anything interrupts the run, the same command again finishes it, with the same secrets. A key that was set up elsewhere is refused
unless its secrets are given; --reset wipes its PIV application, with every key and certificate on it.

The PIN is handed over by --letter FILE, or later by tokendesk piv secret.`,
		Example: `  tokendesk piv init --slot 9a --subject CN=ada --csr ada.csr --letter ada.txt
  tokendesk piv init --new-pin-file - --pin-tries 5 --puk-tries 3
  tokendesk piv init --reset --reason "handed on to somebody else"`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPIVInit(cmd.Context(), a, o) },
	}
	o.flags(cmd, a)
	o.pinFlag(cmd)
	o.pukFlag(cmd)
	o.managementFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&o.newPIN, "new-pin-file", "", "file with the PIN that the key shall have, instead of a random one; - asks for it")
	f.StringVar(&o.pinTries, "pin-tries", "", "how often a wrong PIN may be tried, 1 to 255 (a new key: 3)")
	f.StringVar(&o.pukTries, "puk-tries", "", "how often a wrong PUK may be tried, 1 to 255 (a new key: 3)")
	f.StringVar(&o.key.slot, "slot", "", "generate a key in this slot: 9a, 9c, 9d, 9e, or 82 to 95")
	o.key.keyFlags(cmd, "")
	o.key.certificateFlags(cmd, "")
	o.letter.flags(cmd, "letter")
	f.BoolVar(&o.reset, "reset", false, "wipe the PIV application first, with every key and certificate on it")
	f.StringVar(&o.reason, "reason", "", "why what is there may be lost; kept in the audit chain")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, change nothing")
	f.Lookup("last-try").Usage = "use the one try that is left for PIN or PUK; a wrong one blocks it"
	return cmd
}

// check reads what can be wrong before a key is opened.
func (o *pivInitOptions) check(a *app) (w piv.Want, err error) {
	if w.PINTries, err = parseTries("--pin-tries", o.pinTries); err != nil {
		return w, err
	}
	if w.PUKTries, err = parseTries("--puk-tries", o.pukTries); err != nil {
		return w, err
	}
	if (w.PINTries == 0) != (w.PUKTries == 0) {
		return w, usagef("--pin-tries and --puk-tries go together: the key sets both at once")
	}
	if w.Reset = o.reset; o.reset && strings.TrimSpace(o.reason) == "" {
		return w, usagef("--reset wants --reason TEXT; it is kept in the audit chain")
	}
	if err := a.onlyOneTyped(o.pin, o.puk, o.management, o.newPIN); err != nil {
		return w, err
	}
	o.key.reason, o.key.resumes, o.letter.resumes = o.reason, true, true
	if err := o.letter.check(); err != nil {
		return w, err
	}
	return w, o.key.check(o.key.slot != "")
}

func runPIVInit(ctx context.Context, a *app, o pivInitOptions) error {
	want, err := o.check(a)
	if err != nil {
		return err
	}
	if want.PIN, err = a.newPIN(ctx, o.newPIN); err != nil {
		return err
	}
	defer want.PIN.Destroy()
	return a.withPIV(ctx, o.pivOptions, func(s *pivSession) error {
		o.again = o.repeat(s.facts.Serial)
		done, err := s.init(ctx, want, o)
		if err != nil || done == nil {
			return err
		}
		return a.showPIV(*done)
	})
}

// newPIN reads the PIN that a key shall have.
func (a *app) newPIN(ctx context.Context, file string) (secret.Bytes, error) {
	return a.newSecret(ctx, file, "New PIN, 6 to 8 characters", nil)
}

// init sets the key up as far as it is not, and returns what it says then; nil for a dry run.
func (s *pivSession) init(ctx context.Context, want piv.Want, o pivInitOptions) (*pivTold, error) {
	want.Given = s.given
	plan, err := s.runner.Plan(ctx, s.card, want)
	if err != nil {
		return nil, err
	}
	defer plan.Destroy()
	if err := s.guardPlan(ctx, plan, want); err != nil {
		return nil, err
	}
	if o.key.slot != "" && !o.reset {
		if err := o.key.vacant(s.facts.Slot(o.key.at), plan.Ready()); err != nil {
			return nil, err
		}
	}
	if err := s.recognise(ctx, &o.key, &o.letter); err != nil {
		return nil, err
	}
	steps := planText(plan, o.key)
	s.sayPlan(steps)
	if o.dryRun {
		s.a.say("dry run: nothing was changed")
		return nil, s.a.showSteps(steps)
	}
	if err := s.confirmInit(ctx, o); err != nil {
		return nil, err
	}
	if o.reset {
		if err := s.st.NotePIV(ctx, s.facts.Serial, "piv.reset", sqlstore.PIVEvent{Reason: o.reason}); err != nil {
			return nil, err
		}
	}
	if err := s.runner.Init(ctx, s.card, plan); err != nil {
		return nil, s.interrupted(err, o.again)
	}
	if o.reset {
		if err := s.st.LoseCertificates(context.WithoutCancel(ctx), s.facts.Serial, ""); err != nil {
			return nil, s.interrupted(err, o.again)
		}
		o.reset = false
		o.again = o.repeat(s.facts.Serial) // goes on, and wipes nothing again
	}
	if o.key.slot != "" {
		if err := s.resume(ctx, o.key); err != nil {
			return nil, s.interrupted(err, o.again)
		}
	}
	if err := s.handLetter(ctx, o.letter); err != nil {
		return nil, s.interrupted(err, o.again)
	}
	return s.told(ctx)
}

// confirmInit asks before keys and certificates are wiped.
func (s *pivSession) confirmInit(ctx context.Context, o pivInitOptions) error {
	if !o.reset {
		return s.confirmLoss(ctx, o.key, o.yes)
	}
	what := "wipe the PIV application of " + s.name() + " for good"
	if n := len(s.facts.Keys); n > 0 {
		what += fmt.Sprintf(", with %s in use", count(n, "slot"))
	}
	return s.a.confirm(ctx, o.yes, what)
}

// interrupted adds how to go on to what ended a set-up halfway; again is the command, "" for the same.
func (s *pivSession) interrupted(err error, again string) error {
	x := explain(err)
	p := &problem{line: s.name() + ": " + x.line, hints: x.hints, code: x.code, cause: err}
	if errors.Is(err, context.Canceled) {
		p.line = s.name() + ": interrupted; what the key has now is in the store"
	}
	if again == "" {
		return p.hint("finish it with the same command; it goes on with the same secrets")
	}
	return p.hint("finish it: %s; it goes on with the same secrets", again)
}

// told reads what the key says now, and has the store know it.
func (s *pivSession) told(ctx context.Context) (*pivTold, error) {
	f, err := s.card.Facts(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.noteSeen(ctx, f); err != nil {
		return nil, err
	}
	kept, err := s.st.Escrowed(ctx, f.Serial)
	if err != nil {
		return nil, err
	}
	t := pivToldOf(f, kept)
	return &t, nil
}

// pivPlanned is one step of a dry run.
type pivPlanned struct {
	Step string `json:"step"`
	Note string `json:"note,omitempty"`
}

// planText is what will be done, in words.
func planText(p piv.Plan, key pivKeyOptions) []pivPlanned {
	steps := []pivPlanned{}
	for _, step := range p.Steps {
		s := pivPlanned{Step: pivStepText(step)}
		if step.Guess {
			s.Note = "this firmware does not tell whether it has that PIN; if it has not, one try is used up, and nothing is changed"
		}
		steps = append(steps, s)
	}
	if key.slot != "" {
		steps = append(steps, pivPlanned{Step: key.text()})
	}
	return steps
}

// showSteps shows them to programs; people were told.
func (a *app) showSteps(steps []pivPlanned) error {
	if a.format == "table" {
		return nil
	}
	return list(a, "plan", steps, []column[pivPlanned]{
		{"Step", func(s pivPlanned) string { return s.Step }},
		{"Note", func(s pivPlanned) string { return s.Note }},
	})
}

// sayPlan says what will be done.
func (s *pivSession) sayPlan(steps []pivPlanned) {
	a := s.a
	if len(steps) == 0 {
		a.say("%s is set up already; nothing is to be done", s.name())
		return
	}
	a.say("%s, firmware %v:", s.name(), s.facts.Version)
	for _, step := range steps {
		a.say("  %s", step.Step)
		if step.Note != "" {
			a.say("    note: %s", step.Note)
		}
	}
	if s.facts.OnCard {
		a.say("note: another program keeps the management key on the key, or derives it from the PIN; afterwards it can be used there no more")
	}
}

// pivStepText is a step in words.
func pivStepText(step piv.Step) string {
	text := map[piv.Action]string{
		piv.ResetCard:        "the PIV application is wiped",
		piv.TryNew:           "the PIN of a new key is tried",
		piv.SetManagementKey: "a random management key, kept in the store",
		piv.SetTries:         "how often a wrong PIN and PUK may be tried",
		piv.SetPUK:           "a random PUK, kept in the store",
		piv.SetPIN:           "the PIN, kept in the store",
		piv.WriteCHUID:       "an identifier of the card (CHUID)",
		piv.WriteCCC:         "what the card can (CCC)",
	}[step.Do]
	if step.Resumed {
		text += ": the one of the run that was interrupted"
	}
	return text
}

// handOutPIN reads the PIN for somebody who is told it.
func (s *pivSession) handOutPIN(ctx context.Context, reason string) (token.Escrow, error) {
	list, err := s.st.HandOutEscrow(ctx, s.facts.Serial, token.PIVPIN, reason)
	if err != nil {
		return token.Escrow{}, err
	}
	if len(list) != 1 || !list[0].Held {
		destroyEscrows(list)
		return token.Escrow{}, problemf(exitRefused, "the store does not know for sure which PIN %s has", s.name()).hint("finish it: tokendesk piv init --serial %s", s.facts.Serial)
	}
	return list[0], nil
}
