package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// proven asks for a code, and for the next one where one is not enough, until act says that they prove what they should. refused is
// what is said of the token otherwise: "stays blocked".
func (a *app) proven(ctx context.Context, refused string, act func(codes []string) (token.Token, desk.Proof, error)) (token.Token, error) {
	codes, err := a.askCodes(ctx)
	if err != nil {
		return token.Token{}, err
	}
	t, proof, err := act(codes)
	if err == nil && proof == desk.NeedSecond && a.stdinTTY {
		a.say("%s is out of step", desk.Name(t))
		second, askErr := a.askOTP(ctx, "The next code, as soon as it shows (it is not shown here):")
		if askErr != nil {
			return t, askErr
		}
		t, proof, err = act(append(codes, second))
	}
	if err != nil {
		return t, queryProblem(err)
	}
	if proof != desk.Proven {
		return t, proofProblem(t, refused, proof)
	}
	return t, nil
}

func proofProblem(t token.Token, refused string, proof desk.Proof) error {
	p := problemf(exitVerify, "%s %s: %s", desk.Name(t), refused, proof)
	switch proof {
	case desk.NeedSecond:
		return p.hint("give two codes that follow each other, each on a line, as soon as the second shows")
	case desk.NotIssued:
		return p.hint("see: tokendesk token show QUERY")
	case desk.OtherToken:
		return p.hint("look whether it is the token in your hand: tokendesk token show QUERY")
	}
	return p.hint("touch the key again, or wait for the next code, and repeat the command")
}

// askCodes asks for one code or OTP at a terminal; otherwise it is the first lines of standard input, two at most.
func (a *app) askCodes(ctx context.Context) ([]string, error) {
	if a.stdinTTY {
		text, err := a.askOTP(ctx, "Touch the key, or type the code that the token shows (it is not shown here):")
		return []string{text}, err
	}
	codes, err := until(ctx, func() (out []string, err error) {
		lines := bufio.NewScanner(io.LimitReader(a.stdin, maxTyped))
		for len(out) < 2 && lines.Scan() {
			if text := strings.TrimSpace(lines.Text()); text != "" {
				out = append(out, text)
			}
		}
		return out, lines.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read standard input: %w", err)
	}
	if len(codes) == 0 {
		return nil, usagef("standard input is empty: it should hold a one-time password or code").hint("where two codes are needed: each on a line")
	}
	return codes, nil
}

func newTokenVerifyCmd(a *app) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "verify QUERY", Short: "Prove that a person has a token: a pending one is active then", Args: args(1, 1, "QUERY"),
		Long: `Prove by a code or a one-time password that a person has a token. A pending app token is active then; of a token that is
active already it is a proof and nothing more.`,
		Example: "  tokendesk token verify ada --name 'my phone'", ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withSwept(cmd.Context(), func(d *desk.Desk) error {
				was, err := d.Find(cmd.Context(), given[0])
				if err != nil {
					return queryProblem(err)
				}
				t, err := a.proven(cmd.Context(), "is not proven", func(codes []string) (token.Token, desk.Proof, error) {
					return d.Confirm(cmd.Context(), desk.ByID(was.ID), codes, name)
				})
				if err != nil {
					return err
				}
				if was.State == t.State {
					a.say("proven: this is %s", desk.Name(t))
				} else {
					a.say("%s is %s", desk.Name(t), t.State)
				}
				return show(a, "token", tokenOf(t), tokenColumns())
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "what its holder calls it")
	return cmd
}
