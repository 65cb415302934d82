package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/diagnose"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// checked is what verify shows. The OTP itself is never shown.
type checked struct {
	Outcome  validate.Outcome   `json:"outcome"`
	Reason   validate.Reason    `json:"reason"`
	Kind     string             `json:"kind,omitempty"`
	PublicID string             `json:"public_id,omitempty"`
	Counters string             `json:"counters,omitempty"` // UseCounter/SessionCounter
	Marks    []string           `json:"marks,omitempty"`
	DryRun   bool               `json:"dry_run"`
	Findings []diagnose.Finding `json:"findings,omitempty"`
}

// verifyOptions are the flags of verify.
type verifyOptions struct {
	person, serial string // at most one: any code of theirs, not only a key's
	support        string // show what was kept under this support code
	status         string // explain this answer of the server to a client
	explain        bool
	layouts        bool
	dryRun         bool
}

func newVerifyCmd(a *app) *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use: "verify", Short: "Check one one-time password or code as the server does, and say why not", Args: args(0, 0, ""),
		Long: `Check one one-time password as the server does: an accepted one counts as used afterwards. With --person or --serial it may
also be a code of an app or a display, a temporary or a recovery code of theirs; a wrong one then counts as a try of theirs. With
--dry-run, nothing counts.

It is asked for without echo, or read from the first line of standard input; it is never an argument, so it stays out of
the shell's history. With --explain, every cause that holds is listed, the likeliest first, with what to do about it. With
--support-code, a refusal of the last 24 hours is shown that somebody reads out. Exit code 7: not accepted.`,
		Example: "  tokendesk verify\n  tokendesk verify --dry-run < otp.txt\n  tokendesk verify --explain --person anna < code.txt\n" +
			"  tokendesk verify --support-code 7KM4-Q2X9\n  tokendesk verify -o json < otp.txt | jq -r .verification.reason",
		RunE: func(cmd *cobra.Command, _ []string) error { return runVerify(cmd.Context(), a, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.person, "person", "", "account of who typed it")
	f.StringVar(&o.serial, "serial", "", "serial or label of the token that it should be of")
	f.StringVar(&o.support, "support-code", "", "show a refusal by its support code; nothing is read or checked")
	f.StringVar(&o.status, "status", "", "with --explain: what the server answered a relying server, such as BAD_SIGNATURE; nothing is read or checked")
	f.BoolVar(&o.explain, "explain", false, "list the causes, with their evidence and what to do")
	f.BoolVar(&o.layouts, "accept-layouts", false, "accept what another keyboard layout or an input method changed")
	f.BoolVar(&o.dryRun, "dry-run", false, "only look: the one-time password can still be used")
	return cmd
}

func runVerify(ctx context.Context, a *app, o verifyOptions) error {
	switch {
	case o.person != "" && o.serial != "":
		return usagef("--person and --serial exclude one another")
	case o.status != "" && !o.explain:
		return usagef("--status goes with --explain")
	case o.support != "" && o != (verifyOptions{support: o.support}):
		return usagef("--support-code goes with no other flag of verify")
	}
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	doctor := &diagnose.Doctor{Store: st, Now: a.now}
	switch {
	case o.support != "":
		return a.showAttempt(ctx, doctor, o.support)
	case o.status != "":
		found, err := doctor.Diagnose(ctx, diagnose.Question{Account: o.person, Serial: o.serial, Status: o.status})
		if err != nil {
			return err
		}
		return a.listFindings(found)
	}
	text, err := a.askOTP(ctx, "Touch the key, or type the one-time password (it is not shown):")
	if err != nil {
		return err
	}
	c, err := a.check(ctx, st, o, text)
	if err != nil {
		return err
	}
	out := verified(c, o.dryRun)
	if o.explain {
		out.Findings, err = doctor.Diagnose(ctx, diagnose.Question{Account: o.person, Serial: o.serial, Text: text, Checked: &c})
		if err != nil {
			return err
		}
	}
	if err := a.showChecked(out, o.explain); err != nil || c.Outcome == validate.Accepted {
		return err
	}
	return refusedOTP(c.Reason, o.person != "" || o.serial != "")
}

// check asks the Checker about a subject's code, or the Verifier about anybody's one-time password, and notes what was refused.
func (a *app) check(ctx context.Context, st *sqlstore.Store, o verifyOptions, text string) (validate.Checked, error) {
	var factors validate.Factors = st
	if o.dryRun {
		factors = validate.ReadOnlyFactors(st)
	}
	v := validate.New(factors, a.now)
	v.Layouts = o.layouts
	const source = "tokendesk verify"
	if o.person == "" && o.serial == "" {
		r, err := v.Verify(ctx, validate.Request{OTP: text, Source: source})
		if err != nil {
			return validate.Checked{}, err
		}
		c := validate.Checked{Outcome: r.Outcome, Reason: r.Reason, Kind: string(token.YubicoOTP), Token: r.Token, Credential: r.Credential, Result: r}
		return c, v.Note(ctx, r)
	}
	checker := validate.NewChecker(factors, v, a.now)
	c, err := checker.Check(ctx, validate.Factor{Account: o.person, Serial: o.serial, Text: text, Source: source})
	if err != nil {
		return c, err
	}
	return c, checker.Note(ctx, c)
}

// verified is what a check found, for people.
func verified(c validate.Checked, dryRun bool) checked {
	r := c.Result
	out := checked{Outcome: c.Outcome, Reason: c.Reason, Kind: c.Kind, Marks: marks(r.Marks), DryRun: dryRun}
	if r.Credential != 0 {
		out.PublicID = r.PublicID.String()
	}
	if r.Opened {
		out.Counters = fmt.Sprintf("%d/%d", r.OTP.UseCounter, r.OTP.SessionCounter)
	}
	return out
}

// marks are remarks in words.
func marks(m validate.Marks) []string {
	var out []string
	for _, row := range []struct {
		set  bool
		text string
	}{
		{m.Dvorak, "typed on a Dvorak layout"},
		{m.Layout != "" && !m.Dvorak, "typed on another keyboard layout: " + m.Layout},
		{m.Changes != "", "cleaned of " + m.Changes},
		{m.CapsFlag, "triggered by Caps Lock on an old key"},
		{m.NearEnd, "the key's use counter is nearly used up: replace it"},
		{m.Delayed, "pressed long before it was sent"},
		{m.Copied, "two keys seem to have this secret"},
	} {
		if row.set {
			out = append(out, row.text)
		}
	}
	return out
}

// verifyHints says what to do about a reason.
var verifyHints = map[validate.Reason]string{
	validate.ReasonMalformed: "32 to 64 ModHex characters (cbdefghijklnrtuv) are expected: touch the key into an empty line",
	validate.ReasonUnknown:   "no credential has this public ID: was the key programmed elsewhere? see: tokendesk keyfile import",
	validate.ReasonCRC:       "a changed character, or the key was programmed again elsewhere",
	validate.ReasonPrivateID: "the secret fits but the identity does not: treat it as a copy of the key",
	validate.ReasonBlocked:   "back with a fresh one-time password: tokendesk token restore",
	validate.ReasonPending:   "its write was not proven: tokendesk provision resume",
	validate.ReasonInStock:   "the token was not issued to anybody yet",
	validate.ReasonUnsettled: "settle the interrupted write: tokendesk provision resume",
	validate.ReasonCautious:  "a backup was put back: press again right away, two are refused and the third counts; or: tokendesk store caution release",
	validate.ReasonSame:      "each one-time password counts once: touch the key again",
	validate.ReasonOlder:     "a newer one was used already: touch the key again",
	validate.ReasonWrong:     "see what is known about it: tokendesk verify --explain",
	validate.ReasonNobody:    "see: tokendesk person list",
	validate.ReasonThrottled: "wait; see: tokendesk verify --explain",
	validate.ReasonLocked:    "it ends by itself; meanwhile: tokendesk code temp",
}

// refusedOTP is the refusal with its hint; named: of a person's or a token's codes.
func refusedOTP(r validate.Reason, named bool) error {
	p := problemf(exitVerify, "not accepted: %s", r)
	if r == validate.ReasonMalformed && named {
		return p.hint("6 to 8 digits, a temporary or recovery code, or a key's one-time password is expected")
	}
	if h := verifyHints[r]; h != "" {
		return p.hint("%s", h)
	}
	return p
}
