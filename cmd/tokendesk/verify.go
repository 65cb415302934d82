package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/validate"
)

// checked is what verify shows. The OTP itself is never shown.
type checked struct {
	Outcome  validate.Outcome `json:"outcome"`
	Reason   validate.Reason  `json:"reason"`
	PublicID string           `json:"public_id,omitempty"`
	Counters string           `json:"counters,omitempty"` // UseCounter/SessionCounter
	Marks    []string         `json:"marks,omitempty"`
	DryRun   bool             `json:"dry_run"`
}

func newVerifyCmd(a *app) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use: "verify", Short: "Check one one-time password as the server does, and say why not", Args: args(0, 0, ""),
		Long: `Check one one-time password as the server does: an accepted one counts as used afterwards.

It is asked for without echo, or read from the first line of standard input; it is never an argument, so it stays out of
the shell's history. Exit code 7: not accepted.`,
		Example: "  tokendesk verify\n  tokendesk verify --dry-run < otp.txt\n  tokendesk verify -o json < otp.txt | jq -r .verification.reason",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runVerify(cmd.Context(), a, dryRun) },
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only look: the one-time password can still be used")
	return cmd
}

func runVerify(ctx context.Context, a *app, dryRun bool) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	otp, err := a.askOTP(ctx, "Touch the key, or type the one-time password (it is not shown):")
	if err != nil {
		return err
	}
	var counters validate.Counters = st
	if dryRun {
		counters = validate.ReadOnly(st)
	}
	v := validate.New(counters, a.now)
	r, err := v.Verify(ctx, validate.Request{OTP: otp, Source: "tokendesk verify"})
	if err != nil {
		return err
	}
	if err := v.Note(ctx, r); err != nil {
		return err
	}
	c := checked{Outcome: r.Outcome, Reason: r.Reason, Marks: marks(r.Marks), DryRun: dryRun}
	if r.Credential != 0 {
		c.PublicID = r.PublicID.String()
	}
	if r.Opened {
		c.Counters = fmt.Sprintf("%d/%d", r.OTP.UseCounter, r.OTP.SessionCounter)
	}
	err = show(a, "verification", c, []column[checked]{
		{"Outcome", func(c checked) string { return string(c.Outcome) }},
		{"Reason", func(c checked) string { return string(c.Reason) }},
		{"Public ID", func(c checked) string { return c.PublicID }},
		{"Counters", func(c checked) string { return c.Counters }},
		{"Marks", func(c checked) string { return strings.Join(c.Marks, "; ") }},
	})
	if err != nil || r.Outcome == validate.Accepted {
		return err
	}
	return refusedOTP(r)
}

// marks are remarks in words.
func marks(m validate.Marks) []string {
	var out []string
	for _, row := range []struct {
		set  bool
		text string
	}{
		{m.Dvorak, "typed on a Dvorak layout"},
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
	validate.ReasonSame:      "each one-time password counts once: touch the key again",
	validate.ReasonOlder:     "a newer one was used already: touch the key again",
}

func refusedOTP(r validate.Result) error {
	p := problemf(exitVerify, "not accepted: %s", r.Reason)
	if h := verifyHints[r.Reason]; h != "" {
		return p.hint("%s", h)
	}
	return p
}
