package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/otpauth"
	"github.com/tokendesk/tokendesk/keyfile/qr"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// qrOptions are the flags of token qr.
type qrOptions struct {
	out                 string
	uri, fromURI, light bool
}

// pictures are the files that a QR code is written to, by their extension.
var pictures = map[string]func(qr.Code, io.Writer) error{".png": qr.Code.PNG, ".svg": qr.Code.SVG}

func newTokenQRCmd(a *app) *cobra.Command {
	var o qrOptions
	cmd := &cobra.Command{
		Use: "qr QUERY", Short: "Hand the secret of a pending app token over, as a QR code", Args: args(0, 1, ""),
		Long: `Draw the QR code by which an authenticator app takes the secret of a token: on the terminal, or into a new file with mode
0600, or as the otpauth URI that the code holds. Whoever sees it has the secret, so this is possible only while the token is
pending, and each time is an event in the audit chain.

With --from-uri no store is needed: the URI is asked for, or read from standard input, and drawn as it is.`,
		Example: `  tokendesk token qr ada
  tokendesk token qr TOTP1A2B3C4D --out ada.png
  tokendesk token qr --from-uri < uri.txt`,
		ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			if err := o.check(a, given); err != nil {
				return err
			}
			if o.fromURI {
				return a.drawGiven(cmd.Context(), o)
			}
			return a.drawPending(cmd.Context(), given[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.out, "out", "", "picture to make: FILE.png or FILE.svg")
	f.BoolVar(&o.uri, "uri", false, "print the otpauth URI instead of drawing it")
	f.BoolVar(&o.fromURI, "from-uri", false, "draw a URI that is typed or piped in")
	f.BoolVar(&o.light, "light", false, "the terminal's background is light")
	return cmd
}

// check refuses what can be refused before a secret is read.
func (o qrOptions) check(a *app, given []string) error {
	switch {
	case o.fromURI && len(given) > 0:
		return usagef("token qr: QUERY and --from-uri exclude each other")
	case !o.fromURI && len(given) == 0:
		return usagef("token qr: QUERY is missing").hint("see: tokendesk token qr --help")
	case o.uri && (o.fromURI || o.out != ""):
		return usagef("--uri goes without --out and --from-uri")
	case o.out == "" && !o.uri && !a.stdoutTTY:
		return problemf(exitRefused, "a QR code is drawn on a terminal only: whoever has it has the secret").
			hint("make a picture that only you can read: --out FILE.png")
	case o.out == "":
		return nil
	case pictures[strings.ToLower(filepath.Ext(o.out))] == nil:
		return usagef("--out: FILE.png and FILE.svg are possible")
	}
	if _, err := os.Lstat(o.out); err == nil {
		return fileExists(o.out)
	}
	return nil
}

// form is what the audit chain says of the way.
func (o qrOptions) form() string {
	switch {
	case o.uri:
		return "uri"
	case o.out != "":
		return strings.ToLower(filepath.Ext(o.out))[1:]
	}
	return "qr"
}

func (a *app) drawPending(ctx context.Context, query string, o qrOptions) error {
	return a.withDesk(ctx, func(d *desk.Desk) error {
		t, rec, err := d.HandOver(ctx, query, desk.HandOver{Form: o.form(), File: o.out})
		if errors.Is(err, desk.ErrNotPending) {
			return problemf(exitRefused, "%s is %s: only the secret of a pending app token is shown", desk.Name(t), t.State).
				hint("a new one: tokendesk token add --type totp")
		}
		if err != nil {
			return queryProblem(err)
		}
		defer rec.Destroy()
		uri, err := otpauth.Format(rec)
		if err != nil {
			return err
		}
		defer uri.Destroy()
		for _, l := range (otpauth.Codec{}).Loss(rec) {
			switch l.Field {
			case "hash", "digits", "period":
				a.say("note: %s: %s", l.Field, l.Note)
			}
		}
		return a.handOver(uri, rec, o)
	})
}

// drawGiven draws a URI that somebody else made.
func (a *app) drawGiven(ctx context.Context, o qrOptions) error {
	ask := a.readLine
	if a.stdinTTY {
		fmt.Fprint(a.stderr, "URI (it is not shown): ")
		ask = a.readSecret
	}
	text, err := ask(ctx)
	if a.stdinTTY {
		fmt.Fprintln(a.stderr)
	}
	if err != nil {
		return err
	}
	if len(text) >= maxTyped {
		return usagef("the URI is too long")
	}
	uri := secret.New([]byte(strings.TrimSpace(text)))
	defer uri.Destroy()
	rec, err := otpauth.Parse(bytes.Clone(uri.Reveal()))
	if err != nil {
		return &problem{line: oneLine(err), code: exitUsage, cause: err}
	}
	defer rec.Destroy()
	return a.handOver(uri, rec, o)
}

// enrolment is what an app is given. URI is the secret: it is set by --uri alone.
type enrolment struct {
	Issuer  string     `json:"issuer,omitempty"`
	Account string     `json:"account,omitempty"`
	Type    token.Kind `json:"type"`
	Digits  int        `json:"digits"`
	Hash    string     `json:"hash"`
	Period  int        `json:"period,omitempty"` // seconds
	File    string     `json:"file,omitempty"`
	URI     string     `json:"uri,omitempty"`
}

func enrolmentColumns() []column[enrolment] {
	return []column[enrolment]{
		{"Issuer", func(e enrolment) string { return e.Issuer }},
		{"Account", func(e enrolment) string { return e.Account }},
		{"Type", func(e enrolment) string { return string(e.Type) }},
		{"Digits", func(e enrolment) string { return fmt.Sprint(e.Digits) }},
		{"Hash", func(e enrolment) string { return e.Hash }},
		{"Period", func(e enrolment) string { return seconds(e.Period) }},
	}
}

// handOver writes a URI the way that o says. On a terminal the code comes first and the talk below it.
func (a *app) handOver(uri secret.Bytes, rec keyfile.Record, o qrOptions) error {
	what := enrolment{rec.Issuer, otpauth.Account(rec), rec.Kind, rec.Digits, rec.Hash, int(rec.Period / time.Second), o.out, ""}
	if o.uri {
		a.say("this is the secret of %s: whoever has it makes the same codes", printable(what.Account))
		if a.format == "table" {
			_, err := fmt.Fprintf(a.stdout, "%s\n", uri.Reveal())
			return err
		}
		what.URI = string(uri.Reveal())
		return show(a, "enrolment", what, append(enrolmentColumns(), column[enrolment]{"URI", func(e enrolment) string { return e.URI }}))
	}
	code, err := qr.Encode(uri)
	if err != nil {
		return err
	}
	defer code.Destroy()
	if o.out == "" {
		if err := code.Terminal(a.stdout, qr.Background(o.light)); err != nil {
			return err
		}
		a.say("issuer %s, account %s: scan it with the app, then clear the screen", orNone(what.Issuer), orNone(what.Account))
		return nil
	}
	draw := pictures[strings.ToLower(filepath.Ext(o.out))]
	if err := makeFile(o.out, func(w io.Writer) error { return draw(code, w) }); err != nil {
		return err
	}
	a.say("whoever sees %s has the secret: remove it when the app has it", printable(o.out))
	return show(a, "enrolment", what, append(enrolmentColumns(), column[enrolment]{"File", func(e enrolment) string { return e.File }}))
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return printable(s)
}

// makeFile makes a file that only its owner reads, never over another, and syncs it. What is not finished is removed.
func makeFile(name string, write func(io.Writer) error) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fileExists(name)
	}
	if err != nil {
		return fileProblem(err, filepath.Dir(name))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(name))
		}
	}()
	if err := write(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", printable(name), err)
	}
	return nil
}
