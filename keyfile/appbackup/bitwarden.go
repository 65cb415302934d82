package appbackup

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/otpauth"
)

// ErrBitwarden is an encrypted export, which cannot be opened here.
var ErrBitwarden = errors.New("an encrypted export of Bitwarden is not read: export as .json or .csv without encryption")

// BitwardenJSON is Bitwarden's export: {"encrypted":false,"items":[…]}, a login's totp a URI or bare base32. Items without one
// are passed over.
type BitwardenJSON struct{}

// BitwardenCSV is Bitwarden's export as CSV with a header; the column login_totp holds a URI or bare base32. Rows without one
// are passed over.
type BitwardenCSV struct{}

var (
	_ keyfile.Reader = BitwardenJSON{}
	_ keyfile.Reader = BitwardenCSV{}
)

// Name implements keyfile.Reader.
func (BitwardenJSON) Name() string { return "bitwarden-json" }

// Name implements keyfile.Reader.
func (BitwardenCSV) Name() string { return "bitwarden-csv" }

// Detect implements keyfile.Reader.
func (BitwardenJSON) Detect(head []byte) int {
	return max(detect(head, "{", 80, "encrypted", "folders"), detect(head, "{", 80, "encrypted", "collections"), detect(head, "{", 80, "encrypted", "items"),
		detect(head, "{", 80, "encrypted", "passwordProtected"), detect(head, "{", 80, "encrypted", "encKeyValidation_DO_NOT_EDIT"))
}

// Detect implements keyfile.Reader.
func (BitwardenCSV) Detect(head []byte) int {
	line, _, _ := bytes.Cut(keyfile.TrimBOM(head), []byte("\n"))
	if slices.Contains(strings.Split(strings.TrimSpace(string(line)), ","), "login_totp") {
		return 95
	}
	return 0
}

// Decode implements keyfile.Reader.
func (b BitwardenJSON) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return decode(b.Name(), r, func(doc []byte) (opened, error) {
		var h struct{ Encrypted bool }
		if err := header(doc, &h); err != nil {
			return opened{}, err
		}
		if h.Encrypted {
			return opened{}, ErrBitwarden
		}
		return opened{doc, []string{"items"}}, nil
	}, parseBitwarden)
}

func parseBitwarden(raw []byte) account {
	var e struct {
		Name  string
		Login *struct {
			Username string
			TOTP     string
		}
	}
	if field, note := unmarshal(raw, &e); note != "" {
		return bad(field, note)
	}
	if e.Login == nil || strings.TrimSpace(e.Login.TOTP) == "" {
		return account{skip: true}
	}
	return login(e.Login.TOTP, e.Name, e.Login.Username)
}

// login is what Bitwarden knows of a code: a URI, or base32 for SHA-1, 6 digits, 30 seconds. The item's names stand in for
// what a URI lacks.
func login(totp, name, user string) account {
	totp = strings.TrimSpace(totp)
	if !strings.Contains(totp, "://") {
		return account{kind: "totp", issuer: name, name: user, base32: text(totp)}
	}
	uri := []byte(totp)
	defer clear(uri)
	rec, err := otpauth.Parse(uri)
	var row *keyfile.RowError
	switch {
	case errors.As(err, &row):
		return bad(row.Field, row.Cause)
	case err != nil:
		return bad("uri", "not one otpauth URI")
	}
	if rec.Issuer == "" {
		rec.Issuer = strings.TrimSpace(name)
	}
	if rec.Owner == "" {
		rec.Owner = strings.TrimSpace(user)
	}
	if field, note := otpauth.BadName(rec); note != "" {
		rec.Destroy()
		return bad(field, note)
	}
	return account{rec: &rec}
}

// Decode implements keyfile.Reader. The column of an error is that of login_totp.
func (b BitwardenCSV) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		doc, err := read(r)
		defer clear(doc)
		if err == nil {
			err = b.rows(doc, yield)
		}
		if err != nil {
			yield(keyfile.Record{}, fmt.Errorf("%s: %w", b.Name(), err))
		}
	}
}

func (b BitwardenCSV) rows(doc []byte, yield func(keyfile.Record, error) bool) error {
	in := csv.NewReader(bytes.NewReader(doc))
	in.FieldsPerRecord, in.ReuseRecord = -1, true
	header, err := in.Read()
	if err != nil {
		return ErrOther
	}
	name, user, totp := slices.Index(header, "name"), slices.Index(header, "login_username"), slices.Index(header, "login_totp")
	width := len(header)
	if totp < 0 || name < 0 || user < 0 {
		return ErrOther
	}
	for {
		row, err := in.Read()
		if err == io.EOF {
			return nil
		}
		var a account
		line := 0
		var broken *csv.ParseError
		switch {
		case errors.As(err, &broken):
			a, line = bad("row", "quotes that do not close, or stand where they may not"), broken.StartLine
		case err != nil:
			return ErrOther
		case len(row) != width:
			a = bad("row", "not as many fields as the header has")
		case strings.TrimSpace(row[totp]) == "":
			continue
		default:
			a = login(row[totp], row[name], row[user])
		}
		if line == 0 {
			line, _ = in.FieldPos(0)
		}
		if !yield(a.record(b.Name(), line, totp+1)) {
			return nil
		}
	}
}
