package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/deepnet"
	"github.com/tokendesk/tokendesk/keyfile/pskc"
	"github.com/tokendesk/tokendesk/keyfile/seedtable"
	"github.com/tokendesk/tokendesk/provision/token"
)

// vendorFlags are what the operator knows about a vendor's table.
type vendorFlags struct {
	kind     string
	digits   int
	hash     string
	period   periodFlag
	encoding string
}

// periodFlag is a period as people type it: 60 or 60s.
type periodFlag time.Duration

// String implements pflag.Value.
func (s *periodFlag) String() string {
	if *s == 0 {
		return ""
	}
	return time.Duration(*s).String()
}

// Type implements pflag.Value.
func (*periodFlag) Type() string { return "seconds" }

// Set implements pflag.Value.
func (s *periodFlag) Set(text string) error {
	n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(text), "s"), 10, 12)
	if err != nil || n == 0 || n > maxPeriod {
		return fmt.Errorf("it is a number of seconds from 1 to %d", maxPeriod)
	}
	*s = periodFlag(time.Duration(n) * time.Second)
	return nil
}

// maxPeriod is the longest that a code of a vendor's table lasts, in seconds.
const maxPeriod = 3600

func (v *vendorFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&v.kind, "type", "", "of a vendor's table: totp or hotp")
	f.IntVar(&v.digits, "digits", 0, "of a vendor's table: digits of a code, 6 to 8")
	f.StringVar(&v.hash, "hash", "", "of a vendor's table: "+strings.Join(keyfile.Hashes(), ", "))
	f.Var(&v.period, "period", "of a vendor's table: how long a code lasts, 30 or 60")
	f.StringVar(&v.encoding, "encoding", "", "of a vendor's table: how the seeds are written, "+joined(seedtable.Encodings()))
	complete(cmd, "type", string(token.TOTP), string(token.HOTP))
	complete(cmd, "hash", keyfile.Hashes()...)
	complete(cmd, "encoding", strings.Split(joined(seedtable.Encodings()), ", ")...)
}

// joined is a list of words.
func joined[W ~string](words []W) string {
	var out []string
	for _, w := range words {
		out = append(out, string(w))
	}
	return strings.Join(out, ", ")
}

func (v vendorFlags) options() (seedtable.Options, error) {
	o := seedtable.Options{Kind: token.Kind(v.kind), Digits: v.digits, Hash: v.hash, Period: time.Duration(v.period), Encoding: seedtable.Encoding(v.encoding)}
	switch {
	case v.kind != "" && o.Kind != token.TOTP && o.Kind != token.HOTP:
		return o, usagef("--type is totp or hotp")
	case v.digits != 0 && (v.digits < 6 || v.digits > 8):
		return o, usagef("--digits is 6, 7 or 8")
	case v.hash != "" && !slices.Contains(keyfile.Hashes(), v.hash):
		return o, usagef("--hash is one of: %s", strings.Join(keyfile.Hashes(), ", "))
	case v.encoding != "" && !slices.Contains(seedtable.Encodings(), o.Encoding):
		return o, usagef("--encoding is one of: %s", joined(seedtable.Encodings()))
	case o.Kind == token.HOTP && o.Period != 0:
		return o, usagef("--period goes with --type totp")
	}
	return o, nil
}

// configure gives the reader what the operator knows, and listens to what it notices.
func (k *keySource) configure(v vendorFlags) error {
	o, err := v.options()
	if err != nil {
		return err
	}
	switch r := k.reader.(type) {
	case seedtable.Reader:
		r.Options, r.Tell = o, func(f seedtable.Finding) { k.notice(f.Line, f.Text) }
		k.reader = r
		return nil
	case deepnet.Reader:
		if o == (seedtable.Options{Kind: o.Kind, Period: o.Period}) {
			r.Kind, r.Period = o.Kind, o.Period
			k.reader = r
			return nil
		}
	case pskc.Codec:
		r.Note = k.notice
		k.reader = r
	}
	if o != (seedtable.Options{}) {
		return usagef("%s is %s, which says itself what --type, --digits, --hash, --period and --encoding would say", k.name, k.reader.Name()).
			hint("leave them out, or read it as a vendor's table: --format %s", seedtable.Reader{}.Name())
	}
	return nil
}

// notice keeps what a reader noticed, the first mostShown, until the file is read.
func (k *keySource) notice(line int, text string) {
	if line > 0 {
		text = fmt.Sprintf("line %d: %s", line, text)
	}
	if k.noticed++; k.noticed <= mostShown {
		k.notices = append(k.notices, printable(text))
	}
}

// sayNoticed says it.
func (a *app) sayNoticed(k *keySource) {
	for _, n := range k.notices {
		a.say("note: %s: %s", k.name, n)
	}
	if more := k.noticed - len(k.notices); more > 0 {
		a.say("note: %s: and %d more", k.name, more)
	}
}

// lacksPeriod reports whether a vendor's file does not say how long a code lasts.
func (k *keySource) lacksPeriod() bool {
	switch k.reader.(type) {
	case seedtable.Reader, deepnet.Reader:
	default:
		return false
	}
	for r, err := range k.reader.Decode(bytes.NewReader(k.sample)) {
		r.Destroy()
		return errors.Is(err, seedtable.ErrPeriod)
	}
	return false
}

// askPeriod asks how long a code lasts, if the file does not say it and somebody can be asked.
func (a *app) askPeriod(ctx context.Context, k *keySource) error {
	if !k.lacksPeriod() {
		return nil
	}
	if !a.stdinTTY || k.standard {
		return k.fault(seedtable.ErrPeriod)
	}
	fmt.Fprintf(a.stderr, "%s does not say how long a code lasts. Look at a token. Seconds (30 or 60): ", k.name)
	text, err := a.readLine(ctx)
	if err != nil {
		return err
	}
	var p periodFlag
	if err := p.Set(text); err != nil {
		return usagef("the period: %s", err)
	}
	k.setPeriod(time.Duration(p))
	return nil
}

// setPeriod says how long the codes of a vendor's file last.
func (k *keySource) setPeriod(p time.Duration) {
	switch r := k.reader.(type) {
	case seedtable.Reader:
		r.Period = p
		k.reader = r
	case deepnet.Reader:
		r.Period = p
		k.reader = r
	}
}

// findings are what a vendor's table was found to be; none for other formats.
func (k *keySource) findings() []seedtable.Finding {
	r, ok := k.reader.(seedtable.Reader)
	if !ok {
		return nil
	}
	report, err := r.Survey(bytes.NewReader(k.sample))
	if err != nil { // Decode says it
		return nil
	}
	return report.Findings()
}

// sayFindings says who signed a file, and what was found out about a table before it is read.
func (a *app) sayFindings(k *keySource) {
	if k.wrapped != noWrapping {
		a.say("%s: %s", k.name, k.wrapping())
	}
	list := k.findings()
	if len(list) > 0 {
		a.say("%s is a vendor's table:", k.name)
	}
	for _, f := range list {
		a.say("  %s", printable(f.Text))
	}
}

// wrapping says in words what is around the file.
func (k *keySource) wrapping() string {
	what := string(k.wrapped) + " message"
	if k.wrapped == inAge {
		what = "age file"
	}
	if !k.info.Encrypted {
		what += ", not encrypted"
	}
	switch {
	case k.info.Signer != "":
		what += ", signed by " + printable(k.info.Signer)
	case k.info.Signed:
		what += ", signed by a key that is not known (see --signed-by)"
	case k.wrapped == inOpenPGP:
		what += ", not signed"
	}
	return what
}
