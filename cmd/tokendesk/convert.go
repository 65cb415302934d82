package main

import (
	"context"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// convertOptions are the flags of keyfile convert.
type convertOptions struct {
	from    opening
	to      destinationFlags
	protect protectFlags
	out     string
}

func newKeyfileConvertCmd(a *app) *cobra.Command {
	var o convertOptions
	cmd := &cobra.Command{
		Use: "convert FILE", Short: "Write the keys of a key file into one of another format, without a store", Args: args(1, 1, "FILE"),
		Long: `Write the keys of a key file into one of another format. No store is read or written, so nothing is recorded.

The file must be wholly readable: a bad row ends the command, and nothing is written. It is read three times: to see what is
lost, to write, and to compare. A format that is silent about digits, hash and period means 6, SHA-1 and 30 seconds.
Protections are those of export; --new-passphrase-file is the one of the new file.`,
		Example: `  tokendesk keyfile convert vendor.csv --for privacyidea --recipient privacyidea.asc --out keys.csv.asc
  tokendesk keyfile convert tokens.xml --psk-file psk.hex --to otpauth --recipient age1… --out uris.age`,
		RunE: func(cmd *cobra.Command, given []string) error { return runConvert(cmd.Context(), a, o, given[0]) },
	}
	o.from.flags(cmd)
	o.to.flags(cmd, "to")
	o.protect.flags(cmd, "new-passphrase-file")
	cmd.Flags().StringVar(&o.out, "out", "", "file to make")
	return cmd
}

func runConvert(ctx context.Context, a *app, o convertOptions, name string) error {
	if err := checkOuts(o.out, o.protect.pskOut); err != nil {
		return err
	}
	if name == "-" {
		return usagef("convert reads the file three times, and standard input can be read once").hint("name a file")
	}
	to, err := a.destination(ctx, o.to)
	if err != nil {
		return err
	}
	p, err := a.protect(ctx, to, o.protect)
	if err != nil {
		return err
	}
	defer p.Destroy()
	remembered := &answers{ask: a.asker(ctx, printable(name), o.from)}
	defer remembered.Destroy()
	o.from.ask = remembered.answer
	n, err := a.writeOut(writing{to: to, protect: p, out: o.out, records: destroying(a.recordsOf(ctx, name, o.from))})
	if err == nil && n == 0 {
		return usagef("%s holds no record", printable(name))
	}
	return err
}

// recordsOf opens a key file and reads it, each time it is called, and says once what it noticed. A bad row ends it.
func (a *app) recordsOf(ctx context.Context, name string, o opening) iter.Seq2[keyfile.Record, error] {
	said := false
	return func(yield func(keyfile.Record, error) bool) {
		file, err := a.openKeyFile(ctx, name, o)
		if err != nil {
			yield(keyfile.Record{}, err)
			return
		}
		defer func() { _ = file.Close() }() // read only
		if !said {
			said = true
			a.sayFindings(file)
			defer a.sayNoticed(file)
		}
		for r, err := range file.blamed(file.reader.Decode(file.text)) {
			if !yield(usual(r), err) || err != nil {
				return
			}
		}
	}
}

// usual fills in what a format is silent about. Source: RFC 4226 §5.3, RFC 6238 §4.
func usual(r keyfile.Record) keyfile.Record {
	if r.Kind != token.HOTP && r.Kind != token.TOTP {
		return r
	}
	if r.Digits == 0 {
		r.Digits = 6
	}
	if r.Hash == "" {
		r.Hash = "sha1"
	}
	if r.Kind == token.TOTP && r.Period == 0 {
		r.Period = 30 * time.Second
	}
	return r
}

// answers asks for each means once, however often the file is opened.
type answers struct {
	ask   keyfile.Ask
	known []answeredNeed
}

type answeredNeed struct {
	need   keyfile.Need
	secret secret.Bytes
}

func (m *answers) answer(n keyfile.Need) (secret.Bytes, error) {
	for _, k := range m.known {
		if k.need == n {
			return k.secret.Clone(), nil
		}
	}
	s, err := m.ask(n)
	if err != nil {
		return s, err
	}
	m.known = append(m.known, answeredNeed{n, s})
	return s.Clone(), nil
}

// Destroy clears the answers.
func (m *answers) Destroy() {
	for _, k := range m.known {
		k.secret.Destroy()
	}
}
