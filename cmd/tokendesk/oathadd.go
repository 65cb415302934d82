package main

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/otpauth"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/oathaccount"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// oathAddOptions are the flags of oath add.
type oathAddOptions struct {
	oathChoice
	account   string // ISSUER:NAME
	form      accountForm
	counter   int64
	to        string
	uri       string // where a secret comes from
	picture   string
	file      string
	line      int
	opening   opening
	register  bool
	verify    string
	overwrite string
	reason    string
	reassign  bool
	yes       bool
	dryRun    bool
}

func newOATHAddCmd(a *app) *cobra.Command {
	var o oathAddOptions
	cmd := &cobra.Command{
		Use: "add [ISSUER:NAME]", Short: "Add an account, and prove by a code that the key has it", Args: args(0, 1, ""),
		Long: `Add a TOTP or HOTP account to the OATH application of a key. Its secret is durable and sealed in the store before the first byte goes
to the key, and a code that the key makes is compared with the one that the server expects. An interruption is settled by "tokendesk
provision resume".

Without a source the secret is fresh: the account is a credential of the key, which validates here and is exported like any other. So
is one of a key file (--file). One that a service shows (--uri-file, --qr) is checked by that service: the store forgets it as soon as
the key has it, unless --register says that it is checked here.

An account of that name which this store did not put there needs --overwrite foreign and --reason.`,
		Example: `  tokendesk oath add 'Example Ltd:ada' --to ada
  tokendesk oath add 'Example Ltd:ada' --type hotp --digits 8 --touch
  tokendesk oath add --uri-file - --serial 12345678
  tokendesk oath add --qr screenshot.png
  tokendesk oath add --file vendor.csv --line 3 'Example Ltd:ada'`,
		RunE: func(cmd *cobra.Command, given []string) error {
			if len(given) > 0 {
				o.account = given[0]
			}
			return a.addAccount(cmd, o)
		},
	}
	f := cmd.Flags()
	o.form.flags(cmd, "", "")
	f.Int64Var(&o.counter, "counter", 0, "moving factor of the first HOTP code")
	f.StringVar(&o.to, "to", "", "account of the person who gets the key")
	f.StringVar(&o.uri, "uri-file", "", "file with the otpauth URI of an existing secret; - asks for it or reads standard input")
	f.StringVar(&o.picture, "qr", "", "picture (PNG, JPEG) of the QR code that a service shows")
	f.StringVar(&o.file, "file", "", "key file with existing secrets")
	f.IntVar(&o.line, "line", 0, "the record where there are several: its line in --file, its number in --qr")
	f.StringVar(&o.opening.passphrase, "passphrase-file", "", "file with the passphrase of an encrypted --file")
	f.StringVar(&o.opening.psk, "psk-file", "", "file with the pre-shared key of an encrypted --file")
	f.StringVar(&o.opening.identity, "identity", "", "file with the secret key that an encrypted --file is for")
	f.StringVar(&o.opening.format, "format", "", "format of --file, when it is not found by itself")
	f.BoolVar(&o.register, "register", false, "of --uri-file and --qr: the codes are checked here, so keep the secret")
	f.StringVar(&o.verify, "verify", "code", "code, or none: the first good one-time password at the server is the proof")
	f.StringVar(&o.overwrite, "overwrite", "", "what may be lost: foreign")
	f.StringVar(&o.reason, "reason", "", "why it may be lost; kept in the audit chain")
	f.BoolVar(&o.reassign, "reassign", false, "take the key from the person who holds it")
	f.BoolVar(&o.yes, "yes", false, "overwrite without asking")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, write nothing")
	o.oathChoice.flags(cmd, a)
	complete(cmd, "verify", "code", "none")
	complete(cmd, "overwrite", string(provision.Foreign))
	if err := cmd.RegisterFlagCompletionFunc("to", a.accounts); err != nil { // the flag was added above
		panic(err)
	}
	return cmd
}

// check looks what goes together, and reports whether the secret exists already.
func (o oathAddOptions) check(cmd *cobra.Command) (given bool, err error) {
	sources := 0
	for _, s := range []string{o.uri, o.picture, o.file} {
		if s != "" {
			sources++
		}
	}
	given = sources > 0
	for _, name := range []string{"type", "hash", "digits", "period", "counter"} {
		if given && cmd.Flags().Changed(name) {
			return given, usagef("--%s is said by where the secret comes from", name)
		}
	}
	if _, _, err := parseAccount(o.account); o.account != "" && err != nil {
		return given, err
	}
	switch {
	case sources > 1:
		return given, usagef("--uri-file, --qr and --file exclude each other")
	case !given && o.account == "":
		return given, usagef("oath add: ISSUER:NAME is missing").hint("or say where an existing secret comes from: --uri-file, --qr or --file")
	case o.register && o.uri == "" && o.picture == "":
		return given, usagef("--register is for --uri-file and --qr: any other secret is kept")
	case o.line != 0 && o.file == "" && o.picture == "":
		return given, usagef("--line is a record of --file or --qr")
	case o.onInput() > 1:
		return given, usagef("only one secret can be read from standard input")
	case o.verify != "code" && o.verify != string(token.NoProof):
		return given, usagef("--verify is code or none")
	case o.overwrite != "" && o.overwrite != string(provision.Foreign):
		return given, usagef("--overwrite is foreign")
	}
	return given, o.form.checkPeriod("--period", cmd.Flags().Changed("period"))
}

// onInput is how many files are standard input.
func (o oathAddOptions) onInput() (n int) {
	for _, file := range []string{o.uri, o.picture, o.file, o.passwordFile, o.opening.passphrase, o.opening.psk, o.opening.identity} {
		if file == "-" {
			n++
		}
	}
	return n
}

func (a *app) addAccount(cmd *cobra.Command, o oathAddOptions) error {
	ctx := cmd.Context()
	given, err := o.check(cmd)
	if err != nil {
		return err
	}
	s := o.fresh()
	if given {
		if s, err = a.givenAccount(ctx, o); err != nil {
			return err
		}
	}
	defer s.Seed.Destroy()
	if err := s.Account.Check(); err != nil {
		return usagef("account %s", err)
	}
	if o.to != "" && s.Elsewhere {
		return usagef("--to: whose codes another service checks says nothing about who holds the key").hint("if they are checked here: --register")
	}
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer closeStore(st)
	if s.Holder, err = holder(ctx, st, o.to); err != nil {
		return err
	}
	if !s.Elsewhere && !o.dryRun {
		wanted, err := a.newIntake(ctx, st)
		if err == nil && wanted.required {
			o.serial, err = o.choice.cardSerial(ctx, a) // what is admitted is what is written
		}
		if err == nil {
			err = wanted.admitCard(ctx, o.choice)
		}
		if err != nil {
			return err
		}
	}
	w := cardWork{app: a, st: st, yes: o.yes, dryRun: o.dryRun}
	return w.putAccounts(ctx, o.oathChoice, []oathaccount.Spec{s})
}

// fresh is what is wanted, with a secret that is drawn.
func (o oathAddOptions) fresh() oathaccount.Spec {
	s := oathaccount.Spec{Moving: o.counter, Verify: token.ByHost, Overwrite: o.overwrite != "", Reason: strings.TrimSpace(o.reason), Reassign: o.reassign}
	if o.verify == string(token.NoProof) {
		s.Verify = token.NoProof
	}
	s.Account = o.form.bare()
	s.Account.Issuer, s.Account.Name, _ = parseAccount(o.account) // check saw it
	return s
}

// givenAccount is what is wanted of a secret that exists already. The caller destroys it.
func (a *app) givenAccount(ctx context.Context, o oathAddOptions) (oathaccount.Spec, error) {
	s := o.fresh()
	rec, err := a.givenRecord(ctx, o)
	if err != nil {
		return s, err
	}
	if rec.Kind != token.TOTP && rec.Kind != token.HOTP {
		rec.Destroy()
		return s, usagef("that is the secret of a %s, and an account is totp or hotp", rec.Kind)
	}
	s.Account.Kind, s.Account.Period = rec.Kind, rec.Period // what the file leaves out is as of OATH
	s.Account.Hash, s.Account.Digits = oath.Hash(cmp.Or(rec.Hash, string(oath.SHA1))), cmp.Or(rec.Digits, oath.MinDigits)
	if o.account == "" {
		s.Account.Issuer, s.Account.Name = rec.Issuer, otpauth.Account(rec)
	}
	s.Seed, s.Moving = rec.Key, rec.Counter
	s.Elsewhere = o.file == "" && !o.register
	return s, nil
}

// givenRecord reads the one secret of a URI, a picture or a key file.
func (a *app) givenRecord(ctx context.Context, o oathAddOptions) (keyfile.Record, error) {
	switch {
	case o.file != "":
		return a.rowOf(ctx, o)
	case o.picture != "":
		codes, err := (&importing{app: a}).picture(ctx, o.picture)
		if err != nil {
			return keyfile.Record{}, err
		}
		defer func() {
			for _, c := range codes {
				c.Destroy()
			}
		}()
		return oneRecord(inOrder(codeRecords(codes)), o.line, o.picture)
	}
	read := func() (secret.Bytes, error) { return a.readAll(ctx, o.uri, maxTyped) }
	if o.uri == "-" {
		read = func() (secret.Bytes, error) { return a.sharedSecret(ctx, o.uri, "otpauth URI") }
	}
	uri, err := read()
	if err != nil {
		return keyfile.Record{}, err
	}
	defer uri.Destroy()
	rec, err := otpauth.Parse(bytes.TrimSpace(uri.Reveal()))
	if err != nil {
		return rec, &problem{line: oneLine(err), code: exitUsage, cause: err}
	}
	return rec, nil
}

// rowOf reads one record of a key file.
func (a *app) rowOf(ctx context.Context, o oathAddOptions) (keyfile.Record, error) {
	k, err := a.openKeyFile(ctx, o.file, o.opening)
	if err != nil {
		return keyfile.Record{}, err
	}
	defer func() { _ = k.Close() }() // read only
	lacks := k.lacksPeriod()
	if lacks {
		k.setPeriod(usualPeriod)
	}
	rec, err := oneRecord(k.blamed(k.reader.Decode(k.text)), o.line, o.file)
	if lacks && err == nil && rec.Kind == token.TOTP {
		a.say("note: the file does not say how long a code lasts: taken for %v", usualPeriod)
	}
	return rec, err
}

// inOrder gives records the numbers in which they come.
func inOrder(records iter.Seq2[keyfile.Record, error]) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		n := 0
		for r, err := range records {
			n++
			if r.Line = n; !yield(r, err) {
				return
			}
		}
	}
}

// oneRecord is the record of a line, or the only one. Where none is named a bad row is an error too.
func oneRecord(records iter.Seq2[keyfile.Record, error], line int, name string) (found keyfile.Record, err error) {
	n := 0 // that are meant
	for r, rowErr := range records {
		switch {
		case rowErr != nil && (!keyfile.IsRow(rowErr) || line == 0):
			err = rowErr
		case rowErr != nil:
		case line != 0 && r.Line != line:
			r.Destroy()
		default:
			if n++; n > 1 {
				r.Destroy()
			} else {
				found = r
			}
		}
		if err != nil {
			break
		}
	}
	switch {
	case err != nil:
	case n > 1 && line == 0:
		err = usagef("%s holds %d secrets, and only one can be meant", printable(name), n).
			hint("choose one: --line N; of a file tokendesk keyfile inspect shows the lines, of a picture --dry-run shows whose it is")
	case n > 1:
		err = usagef("line %d of %s holds %d secrets, and only one can be meant", line, printable(name), n).
			hint("give each a line of its own: tokendesk keyfile convert FILE --to otpauth")
	case n == 0 || found.Key.Len() == 0: // without one it would be drawn
		err = problemf(exitNotFound, "%s holds no such record", printable(name)).
			hint("see the lines: tokendesk keyfile inspect FILE")
	}
	if err != nil {
		found.Destroy()
		return keyfile.Record{}, err
	}
	return found, nil
}
