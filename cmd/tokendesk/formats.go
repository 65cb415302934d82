package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/codecs"
	"github.com/tokendesk/tokendesk/keyfile/entra"
	"github.com/tokendesk/tokendesk/keyfile/pijson"
	"github.com/tokendesk/tokendesk/keyfile/pskc"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// formatRow is a server and the format that it reads, or a format by itself.
type formatRow struct {
	For       string       `json:"for,omitempty"`
	Format    string       `json:"format"`
	Direction string       `json:"direction"` // "EI": exported and imported; "I": imported only
	Kinds     []token.Kind `json:"kinds"`     // that can be exported
	Carries   []string     `json:"carries"`   // fields that a file may say, beside the key
	Encrypted []string     `json:"encrypted"` // how an exported file may be encrypted so that its reader opens it
	Locked    bool         `json:"locked"`    // encrypted files of the format itself are imported
	Tried     bool         `json:"tried"`     // that server's importer was run on such a file
	Why       string       `json:"why,omitempty"`
}

func newKeyfileFormatsCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "formats", Short: "List the servers and the formats they read, what these carry and how they are encrypted", Args: args(0, 0, ""),
		Long: `List the servers and the formats they read. Direction: E is export, I is import. Every file may come in an OpenPGP message
or an age file when it is imported; when it is exported, the column Encrypted says what its reader opens by itself.`,
		RunE: func(*cobra.Command, []string) error {
			return list(a, "formats", formatRows(), []column[formatRow]{
				{"For", func(r formatRow) string { return r.For }},
				{"Format", func(r formatRow) string { return r.Format }},
				{"Direction", func(r formatRow) string { return r.Direction }},
				{"Tried", func(r formatRow) string { return yesNo(r.Tried) }},
				{"Kinds", func(r formatRow) string { return strings.Join(texts(r.Kinds), " ") }},
				{"Encrypted", func(r formatRow) string { return strings.Join(r.Encrypted, ", ") }},
				{"Carries", func(r formatRow) string { return strings.Join(r.Carries, " ") }},
				{"Remark", func(r formatRow) string { return r.Why }},
			})
		},
	}
}

// formatRows are all servers, then the formats that none of them is given, then those that are only read.
func formatRows() []formatRow {
	var rows []formatRow
	served := map[string]bool{}
	add := func(r formatRow, c keyfile.Codec) {
		r.Kinds, r.Carries = carries(c)
		rows = append(rows, r)
		served[r.Format] = true
	}
	for _, t := range codecs.Targets() {
		add(formatRow{
			For: t.Name, Format: t.Codec.Name(), Direction: "EI", Encrypted: protections(t.Protect, t.Signed), Locked: isUnlocker(t.Codec), Tried: t.Tried, Why: t.Why,
		}, t.Codec)
	}
	for _, c := range codecs.All() {
		if !served[c.Name()] {
			add(formatRow{Format: c.Name(), Direction: "EI", Encrypted: ownProtections(c), Locked: isUnlocker(c)}, c)
		}
	}
	for _, r := range codecs.Readers() {
		if !served[r.Name()] {
			rows = append(rows, formatRow{Format: r.Name(), Direction: "I", Locked: isUnlocker(r)})
		}
	}
	for i := range rows { // as JSON: lists, not null
		rows[i].Kinds, rows[i].Carries, rows[i].Encrypted = emptied(rows[i].Kinds), emptied(rows[i].Carries), emptied(rows[i].Encrypted)
	}
	return rows
}

func emptied[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func texts[S ~string](list []S) (out []string) {
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}

func isUnlocker(r keyfile.Reader) bool {
	_, ok := r.(keyfile.Unlocker)
	return ok
}

// protections are a server's ways, in words.
func protections(p codecs.Protection, signed bool) (out []string) {
	for _, w := range []struct {
		bit  codecs.Protection
		word string
	}{
		{codecs.OpenPGP, "OpenPGP"}, {codecs.PresharedKey, "pre-shared key"}, {codecs.Passphrase, "passphrase"}, {codecs.FernetKey, "Fernet key"},
	} {
		if p&w.bit == 0 {
			continue
		}
		if w.bit == codecs.OpenPGP && signed {
			w.word += ", signed"
		}
		out = append(out, w.word)
	}
	return out
}

// ownProtections are what a format has by itself.
func ownProtections(c keyfile.Codec) []string {
	switch c.(type) {
	case pskc.Codec:
		return protections(codecs.PresharedKey|codecs.Passphrase, false)
	case pijson.Codec:
		return protections(codecs.FernetKey, false)
	}
	return nil
}

// probeDate is a date that every format can say.
var probeDate = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

// probes are credentials that say much, one a kind, and what they are when they say something else: a format that refuses or
// forgets that carries the kind, and not the field.
func probes() []keyfile.Record {
	seed := secret.Copy([]byte("twenty bytes of seed"))
	return []keyfile.Record{
		{Kind: token.YubicoOTP, Serial: 1234567, Slot: 1, PublicID: token.SerialPublicID(1234567), Owner: "ada", Created: probeDate,
			PrivateID: secret.Copy([]byte("abcdef")), Key: secret.Copy([]byte("sixteen bytes ..")), Issuer: "campus"},
		{Kind: token.HOTP, Label: "OATH0001", Key: seed, Digits: 6, Hash: "sha1", Owner: "ada", Created: probeDate, Issuer: "campus"},
		{Kind: token.HOTP, Serial: 1234567, Slot: 2, Key: seed, Digits: 6, Hash: "sha1", Owner: "ada"},
		{Kind: token.TOTP, Label: "OATH0002", Key: seed, Digits: 6, Hash: "sha1", Period: 30 * time.Second, Owner: "ada", Created: probeDate, Issuer: "campus"},
	}
}

// variations are fields whose usual value a format has without saying it.
func variations(r keyfile.Record) map[string]keyfile.Record {
	out := map[string]keyfile.Record{}
	change := func(field string, do func(*keyfile.Record)) {
		v := r
		do(&v)
		out[field] = v
	}
	if r.Kind == token.HOTP {
		change("counter", func(r *keyfile.Record) { r.Counter = 42 })
	}
	if r.Kind == token.TOTP {
		change("period", func(r *keyfile.Record) { r.Period = time.Minute })
	}
	if r.Kind != token.YubicoOTP {
		change("digits", func(r *keyfile.Record) { r.Digits = 8 })
		change("hash", func(r *keyfile.Record) { r.Hash = "sha256" })
	}
	return out
}

// fieldOrder is the order in which fields are shown.
var fieldOrder = []string{"serial", "label", "slot", "public-id", "private-id", "counter", "period", "digits", "hash", "issuer", "owner", "created"}

// carries asks a format what it takes and says. A format that wants an option to take anything gets one.
func carries(c keyfile.Codec) (kinds []token.Kind, fields []string) {
	if _, ok := c.(entra.Codec); ok {
		c = entra.Codec{Domain: "example.org"}
	}
	said := map[string]bool{}
	for _, r := range probes() {
		if keyfile.Refused("", r, c.Loss(r)) != nil {
			continue
		}
		if !slices.Contains(kinds, r.Kind) {
			kinds = append(kinds, r.Kind)
		}
		lost := keyfile.Differences(r, c.Carried(r))
		has := keyfile.Differences(r, keyfile.Record{})
		for _, f := range has {
			if _, varied := variations(r)[f]; !varied && !slices.Contains(lost, f) {
				said[f] = true
			}
		}
		for f, v := range variations(r) {
			if keyfile.Refused("", v, c.Loss(v)) == nil && !slices.Contains(keyfile.Differences(v, c.Carried(v)), f) {
				said[f] = true
			}
		}
	}
	for _, f := range fieldOrder {
		if said[f] {
			fields = append(fields, f)
		}
	}
	return kinds, fields
}

// holdsSecrets reports whether a file of the format tells a secret.
func holdsSecrets(c keyfile.Codec) bool {
	for _, r := range probes() {
		if got := c.Carried(r); keyfile.Refused("", r, c.Loss(r)) == nil && (got.Key.Len() > 0 || got.PrivateID.Len() > 0) {
			return true
		}
	}
	kinds, _ := carries(c)
	return len(kinds) == 0 // nothing is known: be careful
}
