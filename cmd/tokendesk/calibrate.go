package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/keyfile/seedtable"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/calibrate"
)

// calibrateOptions are the flags of token calibrate.
type calibrateOptions struct {
	opening
	file, serial string
}

func newTokenCalibrateCmd(a *app) *cobra.Command {
	var o calibrateOptions
	cmd := &cobra.Command{
		Use: "calibrate [QUERY]", Short: "Find out what a batch of tokens does, by two codes of one of them", Args: args(0, 1, ""),
		Long: `Find out how the seeds of a batch are written, the hash, the digits, the period and how wrong the clock is, by two codes
that one token shows one after the other. The token is one of a vendor's file that was not imported yet, or one of the store.

The codes are asked for; without a terminal they are two lines of standard input, and the second is the one of now.`,
		Example: `  tokendesk token calibrate --file vendor.csv --serial 2600135004013
  tokendesk token calibrate 2600135004013`,
		ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			if (o.file == "") == (len(given) == 0) || (o.file == "") != (o.serial == "") {
				return usagef("name one token: QUERY for one of the store, or --file FILE and --serial NUMBER for one of a vendor's file")
			}
			return runCalibrate(cmd.Context(), a, o, given)
		},
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.file, "file", "", "the vendor's file")
	f.StringVar(&o.serial, "serial", "", "serial number of the token in it")
	return cmd
}

// sampleSeed is the seed of the sample token, if the file's text is read in an encoding.
type sampleSeed struct {
	encoding seedtable.Encoding // "": the seed is known
	key      secret.Bytes
}

func runCalibrate(ctx context.Context, a *app, o calibrateOptions, queries []string) error {
	var seeds []sampleSeed
	defer func() {
		for _, s := range seeds {
			s.key.Destroy()
		}
	}()
	var err error
	if o.file != "" {
		seeds, err = a.seedsOfFile(ctx, o)
	} else {
		seeds, err = a.seedsOfStore(ctx, queries[0])
	}
	if err != nil {
		return err
	}
	first, second, err := a.askTwoCodes(ctx)
	if err != nil {
		return err
	}
	fits, err := findFits(seeds, first, second, a.now())
	if err != nil {
		return usagef("%s", oneLine(err))
	}
	if len(fits) == 0 {
		return problemf(exitVerify, "nothing fits these two codes").
			hint("they may not follow each other: repeat it with the next two").
			hint("the serial may be another token's, or the seeds in the file may be encrypted")
	}
	if err := list(a, "fits", fitRows(fits), fitColumns()); err != nil {
		return err
	}
	if len(fits) > 1 {
		a.say("%s fit: repeat it with two other codes to tell them apart", count(len(fits), "set"))
		return nil
	}
	a.say("import the batch with: %s", strings.Join(importFlags(fits[0]), " "))
	return nil
}

// seedsOfFile reads the token's seed in every encoding in which it is one.
func (a *app) seedsOfFile(ctx context.Context, o calibrateOptions) ([]sampleSeed, error) {
	if o.file == "-" {
		return nil, usagef("--file reads the file several times, and standard input can be read once").hint("name a file")
	}
	remembered := &answers{ask: a.asker(ctx, printable(o.file), o.opening)}
	defer remembered.Destroy()
	o.ask = remembered.answer
	var out []sampleSeed
	for _, e := range seedtable.Encodings() {
		key, table, err := a.seedOfFile(ctx, o, e)
		if err != nil {
			return out, err
		}
		if key.Len() > 0 {
			out = append(out, sampleSeed{e, key})
		}
		if !table {
			if len(out) > 0 {
				out[0].encoding = ""
			}
			break
		}
	}
	if len(out) == 0 {
		return nil, problemf(exitNotFound, "%s has no token %s with a seed that can be read", printable(o.file), printable(o.serial))
	}
	return out, nil
}

// seedOfFile reads it in one encoding; table: the file is a vendor's table, whose encoding is in question. No key: it is none.
func (a *app) seedOfFile(ctx context.Context, o calibrateOptions, e seedtable.Encoding) (key secret.Bytes, table bool, err error) {
	k, err := a.openKeyFile(ctx, o.file, o.opening)
	if err != nil {
		return key, false, err
	}
	defer func() { _ = k.Close() }() // read only
	if r, ok := k.reader.(seedtable.Reader); ok {
		r.Encoding, table = e, true
		k.reader = r
	}
	if k.lacksPeriod() {
		k.setPeriod(calibrate.Periods()[0]) // it is what is to be found out
	}
	for r, err := range k.blamed(k.reader.Decode(k.text)) {
		if err != nil && !keyfile.IsRow(err) {
			return key, table, err
		}
		if err == nil && (r.Label == o.serial || r.Serial.String() == o.serial && o.serial != "") && r.Kind != token.YubicoOTP {
			key = r.Key.Clone()
		}
		r.Destroy()
		if key.Len() > 0 {
			return key, table, nil
		}
	}
	return key, table, nil
}

// seedsOfStore are the seeds of a token of the store.
func (a *app) seedsOfStore(ctx context.Context, query string) (out []sampleSeed, err error) {
	err = a.withDesk(ctx, func(d *desk.Desk) error {
		_, list, err := d.Show(ctx, query)
		if err != nil {
			return queryProblem(err)
		}
		for _, c := range list {
			if c.Kind != token.HOTP && c.Kind != token.TOTP || c.State == token.Revoked {
				continue
			}
			r, err := d.Store.Record(ctx, c.ID)
			if err != nil {
				return err
			}
			out = append(out, sampleSeed{"", r.Key.Clone()})
			r.Destroy()
		}
		if len(out) == 0 {
			return problemf(exitNotFound, "this token has no HOTP or TOTP seed")
		}
		return nil
	})
	return out, err
}

// askTwoCodes asks at a terminal, or reads two lines of standard input.
func (a *app) askTwoCodes(ctx context.Context) (first, second string, err error) {
	if a.stdinTTY {
		fmt.Fprint(a.stderr, "the code that the token shows: ")
		if first, err = a.readLine(ctx); err != nil {
			return "", "", err
		}
		fmt.Fprint(a.stderr, "the next one, as soon as it shows: ")
		second, err = a.readLine(ctx)
		return strings.TrimSpace(first), strings.TrimSpace(second), err
	}
	codes, err := until(ctx, func() (out []string, err error) {
		lines := bufio.NewScanner(io.LimitReader(a.stdin, maxTyped))
		for len(out) < 2 && lines.Scan() {
			out = append(out, strings.Fields(lines.Text())...)
		}
		return out, lines.Err()
	})
	if err != nil {
		return "", "", fmt.Errorf("read standard input: %w", err)
	}
	if len(codes) != 2 {
		return "", "", usagef("standard input should hold two codes, the second the newer one")
	}
	return codes[0], codes[1], nil
}

// findFits tries every seed. Two encodings of one text that give one seed are one fit.
func findFits(seeds []sampleSeed, first, second string, now time.Time) (out []calibrate.Fit, err error) {
	for i, s := range seeds {
		for _, earlier := range seeds[:i] {
			if s.key.Equal(earlier.key) {
				s.key = secret.Bytes{}
			}
		}
		if s.key.Len() == 0 {
			continue
		}
		fits, err := calibrate.FindKey(s.key, s.encoding, first, second, now)
		if err != nil {
			return nil, err
		}
		out = append(out, fits...)
	}
	return out, nil
}

// importFlags are what keyfile import has to be told.
func importFlags(f calibrate.Fit) []string {
	out := []string{"--type", string(f.Kind), "--digits", fmt.Sprint(f.Digits), "--hash", string(f.Hash)}
	if f.Kind == token.TOTP {
		out = append(out, "--period", fmt.Sprint(int(f.Period/time.Second)))
	}
	if f.Encoding != "" {
		out = append(out, "--encoding", string(f.Encoding))
	}
	return out
}

// fitRow is a calibrate.Fit as it is shown.
type fitRow struct {
	Encoding string `json:"encoding,omitempty"`
	Type     string `json:"type"`
	Hash     string `json:"hash"`
	Digits   int    `json:"digits"`
	Period   int    `json:"period,omitempty"` // seconds
	Drift    int    `json:"drift,omitempty"`  // seconds that the token's clock is ahead
	Counter  int64  `json:"counter,omitempty"`
}

func fitRows(fits []calibrate.Fit) []fitRow {
	var out []fitRow
	for _, f := range fits {
		out = append(out, fitRow{string(f.Encoding), string(f.Kind), string(f.Hash), f.Digits, int(f.Period / time.Second), int(f.Drift / time.Second), f.Counter})
	}
	return out
}

func fitColumns() []column[fitRow] {
	return []column[fitRow]{
		{"Encoding", func(r fitRow) string { return r.Encoding }},
		{"Type", func(r fitRow) string { return r.Type }},
		{"Hash", func(r fitRow) string { return r.Hash }},
		{"Digits", func(r fitRow) string { return fmt.Sprint(r.Digits) }},
		{"Period", func(r fitRow) string {
			if r.Type == string(token.HOTP) {
				return ""
			}
			return fmt.Sprintf("%d s", r.Period)
		}},
		{"Clock", func(r fitRow) string {
			switch {
			case r.Type == string(token.HOTP):
				return fmt.Sprintf("counter %d", r.Counter)
			case r.Drift > 0:
				return fmt.Sprintf("%s fast", time.Duration(r.Drift)*time.Second)
			case r.Drift < 0:
				return fmt.Sprintf("%s slow", time.Duration(-r.Drift)*time.Second)
			}
			return "right"
		}},
	}
}
