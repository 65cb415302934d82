package main

import (
	"context"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// handedSecret is a secret of a key: a hand-over output.
type handedSecret struct {
	Serial token.Serial `json:"serial"`
	What   string       `json:"what"`
	Secret string       `json:"secret,omitempty"` // "": it is in a file
	OnKey  bool         `json:"on_key"`           // the key was seen to have it
	Since  time.Time    `json:"since"`
}

// pivSecret is the kind by a value of --what.
func pivSecret(what string) (token.EscrowKind, bool) {
	k, ok := map[string]token.EscrowKind{"pin": token.PIVPIN, "puk": token.PIVPUK, "management-key": token.PIVManagementKey}[what]
	return k, ok
}

func newPIVSecretCmd(a *app) *cobra.Command {
	var what, reason, out string
	cmd := &cobra.Command{
		Use: "secret QUERY --what pin|puk|management-key --reason TEXT", Short: "Hand out a PIN or PUK that the store keeps for a key", Args: args(1, 1, "QUERY"),
		Long: `Show the PIN or PUK that the store keeps for a key: for a person who forgot the PIN, or blocked it and is not at the desk. QUERY is a serial
number, or what else finds a token. The key need not be attached. Who was told what, and why, is in the audit chain before it is shown.

The management key goes into a file only: --out FILE, in hexadecimal. What the store has is what was set last by this program.`,
		Example: `  tokendesk piv secret ada --what puk --reason "blocked her PIN, at home"
  tokendesk piv secret 12345678 --what management-key --reason "the directory's enrolment tool" --out key.hex`,
		ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			kind, ok := pivSecret(what)
			switch {
			case !ok:
				return usagef("--what is pin, puk or management-key")
			case strings.TrimSpace(reason) == "":
				return usagef("--reason is missing: why it is handed out; it is kept in the audit chain")
			case kind == token.PIVManagementKey && out == "":
				return usagef("the management key goes into a file only: --out FILE")
			}
			if out != "" {
				if err := checkOut("--out", out); err != nil {
					return err
				}
			}
			return a.handOutSecret(cmd.Context(), given[0], kind, reason, out)
		},
	}
	f := cmd.Flags()
	f.StringVar(&what, "what", "", "pin, puk or management-key")
	f.StringVar(&reason, "reason", "", "why it is handed out; kept in the audit chain")
	f.StringVar(&out, "out", "", "file to make, instead of showing it")
	complete(cmd, "what", "pin", "puk", "management-key")
	return cmd
}

func (a *app) handOutSecret(ctx context.Context, query string, kind token.EscrowKind, reason, out string) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	serial, err := a.serialOf(ctx, st, query)
	if err != nil {
		return err
	}
	kept, err := st.HandOutEscrow(ctx, serial, kind, reason)
	if err != nil {
		return err
	}
	defer destroyEscrows(kept)
	if len(kept) == 0 {
		return problemf(exitNotFound, "the store keeps no %s for key %s", escrowName(kind), serial).hint("see what it keeps, with the key attached: tokendesk piv status")
	}
	var rows []handedSecret
	for _, e := range kept {
		h := handedSecret{serial, escrowName(kind), string(e.Secret.Reveal()), e.Held, e.Created}
		if kind == token.PIVManagementKey {
			h.Secret = hex.EncodeToString(e.Secret.Reveal())
		}
		rows = append(rows, h)
	}
	if len(rows) > 1 || !rows[0].OnKey {
		a.say("note: a change was interrupted; which of them the key has is not known. It is settled by: tokendesk piv init --serial %s", serial)
	}
	if out != "" {
		if err := makeFile(out, func(w io.Writer) error {
			for _, h := range rows {
				if _, err := fmt.Fprintln(w, h.Secret); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		a.say("%s holds it: bring it to the holder of key %s, and to nobody else", printable(out), serial)
		if a.format == "table" { // people were told
			return nil
		}
		for i := range rows {
			rows[i].Secret = ""
		}
	} else {
		a.say("read it to the holder of key %s, and to nobody else", serial)
	}
	return list(a, "secrets", rows, []column[handedSecret]{
		{"Serial", func(h handedSecret) string { return h.Serial.String() }},
		{"What", func(h handedSecret) string { return h.What }},
		{"Secret", func(h handedSecret) string { return h.Secret }},
		{"On the key", func(h handedSecret) string {
			if h.OnKey {
				return "yes"
			}
			return "perhaps"
		}},
		{"Since", func(h handedSecret) string { return a.when(h.Since) }},
	})
}

// examineEscrow warns of secrets that were on their way to keys when a run was interrupted.
func examineEscrow(ctx context.Context, st *sqlstore.Store) []finding {
	open, err := st.OpenEscrows(ctx)
	if err != nil {
		return []finding{fail("Secrets of keys", err)}
	}
	if len(open) == 0 {
		return nil
	}
	return []finding{{"Secrets of keys", healthWarn, count(len(open), "interrupted change") + " not settled; the store has what the key has", escrowNext(open), exitDone}}
}

// escrowNext are the commands that settle secrets that were on their way.
func escrowNext(open []sqlstore.OpenEscrow) (next []string) {
	for _, o := range open {
		again := map[token.EscrowKind]string{token.LockCode: "device config --lock-code set", token.OATHPassword: "oath list"}[o.What]
		if again == "" {
			again = "piv init"
		}
		if n := fmt.Sprintf("with the key attached: tokendesk %s --serial %s", again, o.Serial); !slices.Contains(next, n) {
			next = append(next, n)
		}
	}
	return next
}

// escrows names the secrets of keys that are not settled: no write that resume could go on with.
func (r *resumption) escrows(ctx context.Context) error {
	if r.st == nil {
		return nil
	}
	open, err := r.st.OpenEscrows(ctx)
	open = slices.DeleteFunc(open, func(o sqlstore.OpenEscrow) bool {
		return r.choice.serial != 0 && o.Serial != token.Serial(r.choice.serial)
	})
	for _, next := range escrowNext(open) {
		r.a.say("a secret was on its way to a key when a command was interrupted: repeat that command, or, %s", next)
	}
	return err
}

// serialOf is the serial number of the key that a query finds; a number is taken as it is when no token fits.
func (a *app) serialOf(ctx context.Context, st *sqlstore.Store, query string) (token.Serial, error) {
	t, err := a.desk(st).Find(ctx, query)
	if n, numErr := strconv.ParseUint(query, 10, 32); errors.Is(err, token.ErrNotFound) && numErr == nil && n > 0 {
		return token.Serial(n), nil
	}
	if err != nil {
		return 0, queryProblem(err)
	}
	if t.Serial == 0 {
		return 0, problemf(exitNotFound, "that token has no serial number that a YubiKey tells")
	}
	return t.Serial, nil
}

// writePEM makes a file of certificates.
func writePEM(name string, certificates ...[]byte) error {
	return makeFile(name, func(w io.Writer) error {
		for _, der := range certificates {
			if err := pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
				return err
			}
		}
		return nil
	})
}

// letterOptions are the flags for a letter with the PIN.
type letterOptions struct {
	flag, file, language string

	resumes bool   // one of an interrupted run may be there
	left    []byte // that one
}

func (o *letterOptions) flags(cmd *cobra.Command, flag string) {
	o.flag = "--" + flag
	cmd.Flags().StringVar(&o.file, flag, "", "file to make: a letter with the PIN for the key's holder, as text")
	cmd.Flags().StringVar(&o.language, flag+"-language", "en", "language of the letter: de or en")
	complete(cmd, flag+"-language", "de", "en")
}

func (o *letterOptions) check() error {
	if _, ok := letters[o.language]; !ok {
		return usagef("%s-language is de or en", o.flag)
	}
	if o.file == "" {
		return nil
	}
	if o.resumes {
		return checkOutAgain(o.flag, o.file, isLetter)
	}
	return checkOut(o.flag, o.file)
}

// letters are the texts; the places are serial number, PIN, and how often a wrong one may be typed.
var letters = map[string]string{
	"en": "The PIN of your security key\n\n  Key   %s\n  PIN   %s\n\n" +
		"The PIN is asked for when a certificate of the key is used. After %d wrong ones in a row it is blocked; then ask your helpdesk.\n" +
		"Change it as soon as you can, tell it to nobody, and keep this sheet away from the key.\n",
	"de": "Die PIN Ihres Sicherheitsschlüssels\n\n  Schlüssel   %s\n  PIN         %s\n\n" +
		"Nach der PIN wird gefragt, wenn ein Zertifikat des Schlüssels benutzt wird. Nach %d falschen hintereinander ist sie gesperrt; dann hilft Ihr Helpdesk.\n" +
		"Ändern Sie sie, sobald Sie können, sagen Sie sie niemandem, und bewahren Sie dieses Blatt nicht beim Schlüssel auf.\n",
}

// handLetter makes the letter, if one was asked for.
func (s *pivSession) handLetter(ctx context.Context, o letterOptions) error {
	if o.file == "" {
		return nil
	}
	f, err := s.card.Facts(ctx)
	if err != nil {
		return err
	}
	pin, err := s.handOutPIN(ctx, "letter with the PIN")
	if err != nil {
		return err
	}
	defer pin.Secret.Destroy()
	tries := f.PIN.Total
	if tries == 0 {
		tries = f.PIN.Left
	}
	err = remakeFile(o.file, o.left, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, letters[o.language], s.facts.Serial, pin.Secret.Reveal(), tries)
		return err
	})
	if err == nil {
		s.a.say("%s is the letter with the PIN: print it, hand it over, and delete the file", printable(o.file))
	}
	return err
}
