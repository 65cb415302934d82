package main

import (
	"fmt"
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
				{"Kinds", func(r formatRow) string { return joined(r.Kinds) }},
				{"Encrypted", func(r formatRow) string { return joined(r.Encrypted) }},
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
	add := func(r formatRow, c keyfile.Codec, loss func(keyfile.Record) []keyfile.Loss) {
		r.Kinds, r.Carries = carries(c, loss)
		rows = append(rows, r)
		served[r.Format] = true
	}
	for _, t := range codecs.Targets() {
		if _, ok := t.Codec.(entra.Codec); ok { // without a domain it takes full names only
			t.Codec = entra.Codec{Domain: "example.org"}
		}
		add(formatRow{
			For: t.Name, Format: t.Codec.Name(), Direction: "EI", Encrypted: protections(t.Protect, t.Signed), Locked: isUnlocker(t.Codec), Tried: t.Tried, Why: t.Why,
		}, t.Codec, t.Loss)
	}
	for _, c := range codecs.All() {
		if !served[c.Name()] {
			add(formatRow{Format: c.Name(), Direction: "EI", Encrypted: ownProtections(c), Locked: isUnlocker(c)}, c, c.Loss)
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

// probes are credentials that say much, of every kind, with the settings that formats take for granted and with others.
func probes() (out []keyfile.Record) {
	date := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	seed := secret.Copy([]byte("twenty bytes of seed"))
	out = append(out, keyfile.Record{
		Kind: token.YubicoOTP, Serial: 1234567, Slot: 1, PublicID: token.SerialPublicID(1234567), Owner: "ada", Created: date,
		PrivateID: secret.Copy([]byte("abcdef")), Key: secret.Copy([]byte("sixteen bytes ..")), Issuer: "campus",
	})
	for _, digits := range []int{6, 8} {
		for _, hash := range []string{"sha1", "sha256"} {
			oath := keyfile.Record{Kind: token.HOTP, Label: "OATH0001", Key: seed, Digits: digits, Hash: hash, Owner: "ada", Created: date, Issuer: "campus"}
			for _, counter := range []int64{0, 42} {
				oath.Counter = counter
				slot := oath
				slot.Label, slot.Serial, slot.Slot = "", 1234567, 2
				out = append(out, oath, slot)
			}
			oath.Kind, oath.Counter = token.TOTP, 0
			for _, period := range []time.Duration{30 * time.Second, time.Minute} {
				oath.Period = period
				out = append(out, oath)
			}
		}
	}
	return out
}

// fieldsOf are the fields of a record but the kind and the key, as text, in the order in which they are shown.
func fieldsOf(r keyfile.Record) [][2]string {
	return [][2]string{
		{"serial", r.Serial.String()}, {"label", r.Label}, {"slot", fmt.Sprint(r.Slot)}, {"public-id", r.PublicID.String()},
		{"private-id", fmt.Sprint(r.PrivateID.Len())}, {"counter", fmt.Sprint(r.Counter)}, {"period", r.Period.String()},
		{"digits", fmt.Sprint(r.Digits)}, {"hash", r.Hash}, {"issuer", r.Issuer}, {"owner", r.Owner}, {"created", r.Created.String()},
	}
}

// carries asks a format, or a server and its format, what it takes, and which fields come back with more than one value: one
// that is always the same is none that the file carries.
func carries(c keyfile.Codec, loss func(keyfile.Record) []keyfile.Loss) (kinds []token.Kind, fields []string) {
	values := map[string]map[string]bool{}
	for _, f := range fieldsOf(keyfile.Record{}) {
		values[f[0]] = map[string]bool{}
	}
	for _, r := range probes() {
		if keyfile.Refused("", r, loss(r)) != nil {
			continue
		}
		if !slices.Contains(kinds, r.Kind) {
			kinds = append(kinds, r.Kind)
		}
		lost := keyfile.Differences(r, c.Carried(r))
		for i, f := range fieldsOf(r) {
			if !slices.Contains(lost, f[0]) && f != fieldsOf(keyfile.Record{})[i] {
				values[f[0]][f[1]] = true
			}
		}
	}
	for _, f := range fieldsOf(keyfile.Record{}) {
		least := 1
		if slices.Contains([]string{"period", "digits", "hash"}, f[0]) {
			least = 2
		}
		if len(values[f[0]]) >= least {
			fields = append(fields, f[0])
		}
	}
	return kinds, fields
}

// holdsSecrets reports whether a file of the format tells a secret; a format of which nothing is known may.
func holdsSecrets(c keyfile.Codec) bool {
	taken := false
	for _, r := range probes() {
		if keyfile.Refused("", r, c.Loss(r)) != nil {
			continue
		}
		taken = true
		if got := c.Carried(r); got.Key.Len() > 0 || got.PrivateID.Len() > 0 {
			return true
		}
	}
	return !taken
}
