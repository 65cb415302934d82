package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// usualPeriod stands in for an unknown one, so that a file can be read.
const usualPeriod = 30 * time.Second

const (
	soundBits    = 128     // of a secret. Source: RFC 4226 §4 R6
	rememberedIn = 1 << 18 // records among which duplicates are looked for; some 40 MB
	minBytes     = 6       // different bytes in a secret of 16; one of 10^17 random ones has fewer
)

// digest of a name or a secret, to know it again.
type digest [8]byte

// inspector looks at the records of one file. Its memory is bounded.
type inspector struct {
	out     inspected
	unknown bool // the period
	all     hash.Hash
	secrets map[digest]bool
	names   map[digest]bool
}

func newInspector(unknown bool) *inspector {
	in := &inspector{unknown: unknown, all: sha256.New(), secrets: map[digest]bool{}, names: map[digest]bool{}}
	in.out.Findings, in.out.Weaknesses, in.out.Problems, in.out.Tokens = []string{}, []weakness{}, []string{}, []inspectedToken{}
	in.out.Kinds, in.out.Hashes, in.out.Digits, in.out.Periods = tallies{}, tallies{}, tallies{}, tallies{}
	return in
}

func (in *inspector) bad(err error) {
	if in.out.Bad++; len(in.out.Problems) < mostShown {
		in.out.Problems = append(in.out.Problems, oneLine(err))
	}
}

func (in *inspector) record(r keyfile.Record) {
	o := &in.out
	o.Records++
	o.Kinds.add(string(r.Kind))
	if r.Kind == token.HOTP || r.Kind == token.TOTP {
		o.Hashes.add(orUnsaid(r.Hash))
		o.Digits.add(orUnsaid(fmt.Sprint(r.Digits)))
	}
	if r.Kind == token.TOTP && !in.unknown {
		o.Periods.add(orUnsaid(r.Period.String()))
	}
	if r.Owner != "" {
		o.Owned++
	}
	t := inspectedToken{r.Line, printable(tokenName(r)), string(r.Kind), 8 * r.Key.Len(), ""}
	_, _ = fmt.Fprintf(in.all, "%q\n", in.public(r))
	both := secret.New(slices.Concat(r.Key.Reveal(), r.PrivateID.Reveal()))
	sum := sha256.Sum256(both.Reveal())
	both.Destroy()
	if t.Bits >= soundBits {
		t.Fingerprint = hex.EncodeToString(sum[:4])
		_, _ = in.all.Write(sum[:])
	}
	if len(o.Tokens) < mostInTable {
		o.Tokens = append(o.Tokens, t)
	}
	in.weak(r, t, digest(sum[:8]))
}

// orUnsaid names what a file does not say.
func orUnsaid(s string) string {
	if s == "" || s == "0" || s == "0s" {
		return "not said"
	}
	return s
}

// public are the parts of a record that are no secrets.
func (in *inspector) public(r keyfile.Record) []string {
	period := r.Period
	if in.unknown {
		period = 0
	}
	return []string{string(r.Kind), r.Serial.String(), r.Label, fmt.Sprint(r.Slot), r.PublicID.String(), fmt.Sprint(r.Digits), period.String(), r.Hash,
		fmt.Sprint(r.Counter), r.Issuer, r.Owner}
}

// weak notes what is weak about a record.
func (in *inspector) weak(r keyfile.Record, t inspectedToken, key digest) {
	if t.Bits < soundBits {
		in.note(fmt.Sprintf("secret of less than %d bits", soundBits), t)
	}
	different := map[byte]bool{}
	for _, b := range r.Key.Reveal() {
		different[b] = true
	}
	switch {
	case r.Key.Len() > 0 && r.Key.IsZero():
		in.note("secret of zeros only", t)
	case r.Key.Len() >= 16 && len(different) < minBytes:
		in.note("secret that is not random", t)
	}
	if r.AccessCode.Len() > 0 {
		in.note("access code of the key inside", t)
	}
	if r.Kind == token.YubicoOTP && r.PrivateID.Len() == 0 {
		in.note("without private ID, so this server cannot check it", t)
	}
	if r.Kind != token.YubicoOTP && r.Serial == 0 && r.Label == "" && r.Owner == "" {
		in.note("without a name", t)
	}
	if in.secrets[key] {
		in.note("the same secret as an earlier record", t)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", []string{r.Serial.String(), r.Label, fmt.Sprint(r.Slot), r.PublicID.String(), r.Owner, r.Issuer}))
	name := digest(sum[:8])
	if in.names[name] {
		in.note("the same name as an earlier record", t)
	}
	if len(in.secrets) < rememberedIn {
		in.secrets[key], in.names[name] = true, true
	}
}

// note adds a record to a weakness, and names the first mostNamed.
func (in *inspector) note(what string, t inspectedToken) {
	list := in.out.Weaknesses
	i := 0
	for i < len(list) && list[i].What != what {
		i++
	}
	if i == len(list) {
		list = append(list, weakness{What: what})
	}
	list[i].Count++
	if len(list[i].Tokens) < mostNamed {
		list[i].Tokens = append(list[i].Tokens, fmt.Sprintf("%s (line %d)", t.Name, t.Line))
	}
	in.out.Weaknesses = list
}

// fingerprint is 128 bits of the SHA-256 over all records, in groups of four digits.
func (in *inspector) fingerprint() string {
	if in.out.Records == 0 {
		return ""
	}
	digits := hex.EncodeToString(in.all.Sum(nil)[:16])
	var groups []string
	for i := 0; i < len(digits); i += 4 {
		groups = append(groups, digits[i:i+4])
	}
	return strings.Join(groups, " ")
}
