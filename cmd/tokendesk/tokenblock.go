package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

const blockText = `Block a token and every credential on it. When the command returns, no server process accepts a one-time password or code of
it, and the browsers that its holder trusted and links that were open for it are gone. A certificate in its PIV application is its
issuer's: each that is still valid is named, to be revoked there. Lost, stolen and damaged tokens become
lost, forgotten ones and those of people who left are suspended; both come back by "tokendesk token restore".

Then it is disabled at every target that it was pushed to (see "tokendesk keyfile push"). A target that does not answer is
asked again for up to two minutes; until it confirmed, the token is still valid there, which is said, with exit code 8.`

// reasonWords are the reasons of an event, or all.
func reasonWords(only token.Event) (words []string) {
	for _, r := range token.Reasons() {
		if e, _ := r.Event(); only == "" || e == only {
			words = append(words, string(r))
		}
	}
	return words
}

func newTokenBlockCmd(a *app) *cobra.Command {
	var reason, note, until string
	words := reasonWords("")
	cmd := &cobra.Command{
		Use: "block QUERY --reason " + strings.Join(words, "|"), Short: "Block a token and everything on it, at once", Args: args(1, 1, "QUERY"),
		Long: blockText + `

A suspension with --until ends by itself then: at the beginning of that day, or at that minute.`,
		Example: "  tokendesk token block ada --reason forgotten --until 2026-05-08\n  tokendesk token block 12345678 --reason stolen --note 'train, 7 May'", ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			if reason == "" {
				return usagef("--reason is missing").hint("it is one of: %s", strings.Join(words, ", "))
			}
			b := desk.Block{Reason: token.Reason(reason), Note: note}
			var err error
			if b.Until, err = parseUntil(until); err != nil {
				return err
			}
			return a.block(cmd.Context(), given[0], b)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", strings.Join(words, ", "))
	cmd.Flags().StringVar(&note, "note", "", "kept in the audit chain")
	cmd.Flags().StringVar(&until, "until", "", "when a suspension ends by itself: YYYY-MM-DD or \"YYYY-MM-DD HH:MM\"")
	complete(cmd, "reason", words...)
	return cmd
}

func newTokenLostCmd(a *app) *cobra.Command {
	var reason, note string
	words := reasonWords(token.Lose)
	cmd := &cobra.Command{
		Use: "lost QUERY", Short: "Block a token that is lost, stolen or damaged, at once", Args: args(1, 1, "QUERY"), Long: blockText,
		Example: "  tokendesk token lost ada\n  tokendesk token lost 12345678 --reason stolen", ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			if !slices.Contains(words, reason) {
				return usagef("--reason is one of: %s", strings.Join(words, ", ")).hint("another one: tokendesk token block QUERY --reason forgotten")
			}
			return a.block(cmd.Context(), given[0], desk.Block{Reason: token.Reason(reason), Note: note})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", string(token.ReasonLost), strings.Join(words, ", "))
	cmd.Flags().StringVar(&note, "note", "", "kept in the audit chain")
	complete(cmd, "reason", words...)
	return cmd
}

// parseUntil reads a day or a minute of this system's time zone; "" is the zero time.
func parseUntil(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("--until is a day or a minute: YYYY-MM-DD or \"YYYY-MM-DD HH:MM\"")
}

func (a *app) block(ctx context.Context, query string, b desk.Block) error {
	return a.withSwept(ctx, func(d *desk.Desk) error {
		was, t, effects, err := d.Block(ctx, query, b)
		if err != nil {
			return queryProblem(err)
		}
		a.sayBlocked(was, t, b.Reason)
		if effects.Browsers > 0 || effects.Links > 0 {
			a.say("%s and %s are gone", count(effects.Browsers, "trusted browser"), count(effects.Links, "open link"))
		}
		if effects.Codes > 0 {
			a.say("%s that stood in for a token: withdrawn", count(effects.Codes, "code"))
		}
		return a.showEnded(ctx, d, t)
	})
}

// sayBlocked says what a block did, and what was so before.
func (a *app) sayBlocked(was, now token.Token, reason token.Reason) {
	switch {
	case !was.State.Blocked():
		a.say("%s is blocked: no server accepts its one-time passwords from now on", desk.Name(now))
	case was.Reason == reason:
		a.say("%s is blocked already (reason %s)", desk.Name(now), was.Reason)
	case now.Reason == reason:
		a.say("%s is blocked already (reason %s); the reason is now %s", desk.Name(now), was.Reason, reason)
	default:
		a.say("%s is blocked already (reason %s), and stays so; %s is noted in the audit chain", desk.Name(now), was.Reason, reason)
	}
	if !now.Until.IsZero() {
		a.say("the suspension ends by itself: %s", minute(&now.Until))
	}
}

func newTokenRestoreCmd(a *app) *cobra.Command {
	var undo bool
	cmd := &cobra.Command{
		Use: "restore QUERY", Short: "Bring a blocked token back, with a fresh one-time password or code of it", Args: args(1, 1, "QUERY"),
		Long: `Bring a blocked token back. A fresh one-time password or code of it is asked for, or read from standard input: it must be newer
than anything that was accepted before or seen while the token was blocked, and counts as used afterwards.

Then it is enabled again at the targets that it was pushed to.

With --undo nothing is asked: a block that was a slip is taken back within ten minutes, by the one who alone made it, unless its
holder was issued another token since. Browsers and links that the block ended stay gone.`,
		Example: "  tokendesk token restore ada\n  tokendesk token restore ada --undo", ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withSwept(cmd.Context(), func(d *desk.Desk) error {
				if undo {
					return a.undoBlock(cmd.Context(), d, given[0])
				}
				t, err := d.Find(cmd.Context(), given[0])
				if err != nil {
					return queryProblem(err)
				}
				t, err = a.proven(cmd.Context(), "stays blocked", func(codes []string) (token.Token, desk.Proof, error) {
					return d.Restore(cmd.Context(), desk.ByID(t.ID), codes)
				})
				if err != nil {
					return err
				}
				a.say("%s is back", desk.Name(t))
				return a.showBack(cmd.Context(), d, t)
			})
		},
	}
	cmd.Flags().BoolVar(&undo, "undo", false, "take back a block that was a slip, within ten minutes")
	return cmd
}

func (a *app) undoBlock(ctx context.Context, d *desk.Desk, query string) error {
	t, err := d.Undo(ctx, query)
	if err != nil {
		return queryProblem(err)
	}
	a.say("%s is as it was before the block", desk.Name(t))
	return a.showBack(ctx, d, t)
}
