package desk

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Export says which secrets go where. It is written to the audit chain.
type Export struct {
	Format     string     `json:"format"`
	Target     string     `json:"target,omitempty"`
	File       string     `json:"file"`
	Protection string     `json:"protection,omitempty"` // how the file is encrypted and for whom, or that it is in clear
	Tokens     []token.ID `json:"tokens,omitempty"`     // those that were named; set by Desk.Export; none: the default set

	Only []token.CredentialID `json:"credentials,omitempty"` // of the selected ones no others; none: all
}

// Export selects credentials and says how many; the sequence reads them one at a time, and the caller destroys each record.
// Without queries it is the default set: proven, not blocked, not uncertain. With queries it is the tokens that they
// name, blocked ones too. The audit event is durable before Export returns, so before a secret is read; where nothing is
// selected there is none.
func (d *Desk) Export(ctx context.Context, e Export, queries ...string) (int, iter.Seq2[keyfile.Record, error], error) {
	var err error
	if e.Tokens, err = d.named(ctx, queries); err != nil {
		return 0, nil, err
	}
	list, err := d.Store.Exportable(ctx, e.Tokens)
	if err != nil {
		return 0, nil, err
	}
	if len(e.Only) > 0 {
		list = slices.DeleteFunc(list, func(id token.CredentialID) bool { return !slices.Contains(e.Only, id) })
	}
	if len(list) == 0 {
		return 0, func(func(keyfile.Record, error) bool) {}, nil
	}
	if err := d.Store.BeginExport(ctx, e, list); err != nil {
		return 0, nil, err
	}
	return len(list), func(yield func(keyfile.Record, error) bool) {
		for _, id := range list {
			r, err := d.Store.Record(ctx, id)
			if !yield(r, err) || err != nil {
				return
			}
		}
	}, nil
}

// named are the tokens that the queries name, each once; nil for no query.
func (d *Desk) named(ctx context.Context, queries []string) (out []token.ID, err error) {
	for _, q := range queries {
		t, err := d.Find(ctx, q)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, t.ID) {
			out = append(out, t.ID)
		}
	}
	return out, nil
}

// Outcome is what became of one record of an import.
type Outcome string

// The outcomes.
const (
	New       Outcome = "new"
	Known     Outcome = "known"     // the same key is here already: nothing was changed
	Different Outcome = "different" // another key is here under this name: refused
	Bad       Outcome = "bad"       // not a usable record
	Raised    Outcome = "raised"    // counters of a key that is here
	Missing   Outcome = "missing"   // the key is not here: nothing was changed
)

// Imported is what became of one record, and why if it was refused.
type Imported struct {
	Line    int
	Column  int    // of a bad field: its number for a table; 0 where the format has none
	Field   string // that is bad, such as "key"; "" for a whole record
	Outcome Outcome
	Note    string // never a secret
}

// Import adds the records of a key file; source is its name, for the audit chain. A Yubico OTP becomes programmed: its first
// good OTP is the proof. HOTP and TOTP go into stock. report is called for each record in order. Rows that could not be
// read are Bad and the rest goes on; any other error ends the import, and what was reported before it is stored.
func (d *Desk) Import(ctx context.Context, source string, records iter.Seq2[keyfile.Record, error], report func(Imported)) error {
	return d.eachBatch(records, report, func(list []keyfile.Record) ([]Imported, error) {
		return d.Store.Import(ctx, source, list)
	})
}

// eachBatch completes records, hands those that are usable to settle in batches, and reports all of them in order. It destroys the records.
func (d *Desk) eachBatch(records iter.Seq2[keyfile.Record, error], report func(Imported), settle func([]keyfile.Record) ([]Imported, error)) error {
	var rows []Imported
	var good []keyfile.Record
	destroy := func() {
		for _, r := range good {
			r.Destroy()
		}
		rows, good = rows[:0], good[:0]
	}
	defer destroy()
	flush := func() error {
		defer destroy()
		done, err := settle(good)
		if err != nil {
			return err
		}
		next := 0
		for _, row := range rows {
			if row.Outcome == "" {
				row.Outcome, row.Note = done[next].Outcome, done[next].Note
				next++
			}
			report(row)
		}
		return nil
	}
	for r, err := range records {
		row := Imported{Line: r.Line}
		var re *keyfile.RowError
		switch {
		case errors.As(err, &re):
			row = Imported{re.Line, re.Column, re.Field, Bad, re.Cause}
		case err != nil:
			r.Destroy()
			return errors.Join(flush(), err)
		default:
			if row.Field, row.Note = complete(&r); row.Note != "" {
				row.Outcome = Bad
			}
		}
		rows = append(rows, row)
		if row.Outcome == "" {
			good = append(good, r)
		} else {
			r.Destroy()
		}
		if len(rows) == batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// Defaults of OATH where a format is silent. Source: RFC 4226 §5.3, RFC 6238 §4 and reference key-files.md.
const (
	defaultDigits = 6
	defaultPeriod = 30 * time.Second
	defaultHash   = "sha1"
)

// complete fills in defaults and says which field makes a record unusable and why, "" if nothing does.
func complete(r *keyfile.Record) (field, note string) {
	switch r.Kind {
	case token.YubicoOTP:
		switch {
		case r.Key.Len() != 16:
			return "key", "an AES key has 16 bytes"
		case r.PrivateID.Len() != 6:
			return "private-id", "6 bytes are needed, because every OTP is compared with it"
		}
		return completeCommon(r)
	case token.HOTP, token.TOTP:
		r.Digits, r.Hash = orDefault(r.Digits, defaultDigits), orDefault(r.Hash, defaultHash)
		if r.Kind == token.TOTP {
			r.Period = orDefault(r.Period, defaultPeriod)
		}
		switch {
		case r.Key.Len() == 0:
			return "key", "is empty"
		case r.Digits < 6 || r.Digits > 8:
			return "digits", "6 to 8"
		case r.Hash != "sha1" && r.Hash != "sha256" && r.Hash != "sha512":
			return "hash", "sha1, sha256 or sha512"
		case r.Period < 0 || r.Counter < 0:
			return "period", "not below 0"
		}
		return completeCommon(r)
	}
	return "kind", "this kind of credential is not imported"
}

func completeCommon(r *keyfile.Record) (field, note string) {
	var bad *TextError
	if errors.As(cmp.Or(checkText("label", r.Label, false), checkText("owner", r.Owner, false), checkText("issuer", r.Issuer, false)), &bad) {
		return bad.Field, bad.Cause
	}
	if r.Slot < 0 || r.Slot > 2 {
		return "slot", "1 or 2"
	}
	if n := r.AccessCode.Len(); n != 0 && n != 6 {
		return "access-code", "6 bytes"
	}
	return "", ""
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
