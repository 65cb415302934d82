package keyfile

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/tokendesk/tokendesk/provision/token"
)

// MinSeedSize is the shortest HOTP or TOTP seed that is imported, in bytes. RFC 4226 §4 wants 16; apps hand out 10.
const MinSeedSize = 10

// Import is Decode for this server: a record that it could not check codes with comes out as a *RowError too.
func Import(c Reader, r io.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for rec, err := range c.Decode(r) {
			if err == nil {
				if l, ok := lacks(rec); ok {
					err = &RowError{Format: c.Name(), Line: rec.Line, Field: l.Field, Cause: l.Note}
					rec.Destroy()
					rec = Record{}
				}
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// lacks says what this server needs and the record has not.
func lacks(rec Record) (Loss, bool) {
	switch {
	case rec.Kind == token.YubicoOTP && rec.PrivateID.Len() == 0:
		return Fatal("private-id", "the row has none, and this server compares the private ID of every OTP: "+
			"use a file that has it (yubico-csv, ksm or pskc)"), true
	case rec.Kind == token.YubicoOTP && rec.PublicID.Len() == 0:
		return Fatal("public-id", "the row has none, and this server finds a key by its public ID"), true
	case rec.Kind == token.YubicoOTP && rec.PublicID.Len() > token.ServerPublicID:
		return Fatal("public-id", fmt.Sprintf("longer than the %d bytes that validation servers take", token.ServerPublicID)), true
	case rec.Kind != token.YubicoOTP && rec.Key.Len() < MinSeedSize:
		return Fatal("key", fmt.Sprintf("shorter than %d bytes", MinSeedSize)), true
	}
	return Loss{}, false
}

// MismatchError says where a written file does not hold what was exported.
type MismatchError struct {
	Format string
	Line   int    // 0: the file ends too early
	Token  string // "" when the file holds a record too many
	Field  string // the first field that differs; "record" for a missing or an extra one
}

func (e *MismatchError) Error() string {
	switch {
	case e.Line == 0:
		return fmt.Sprintf("%s: the written file lacks token %s", e.Format, e.Token)
	case e.Token == "":
		return fmt.Sprintf("%s: line %d: the written file holds a record that was not exported", e.Format, e.Line)
	}
	return fmt.Sprintf("%s: line %d: the written file differs for token %s in %s", e.Format, e.Line, e.Token, e.Field)
}

// Check parses a written file again and compares it with the records that were exported, in their order, field by field as
// far as the format carries them. A difference is a *MismatchError. It destroys what it reads, not what want yields.
func Check(c Codec, file io.Reader, want iter.Seq2[Record, error]) error {
	next, stop := iter.Pull2(want)
	defer stop()
	for got, err := range c.Decode(file) {
		if err != nil {
			return fmt.Errorf("read the written file: %w", err)
		}
		err := match(c, got, next)
		got.Destroy()
		if err != nil {
			return err
		}
	}
	rec, err, more := next()
	switch {
	case !more:
		return nil
	case err != nil:
		return fmt.Errorf("compare the written file: %w", err)
	}
	return &MismatchError{Format: c.Name(), Token: rec.Name(), Field: "record"}
}

func match(c Codec, got Record, next func() (Record, error, bool)) error {
	rec, err, more := next()
	switch {
	case !more:
		return &MismatchError{Format: c.Name(), Line: got.Line, Field: "record"}
	case err != nil:
		return fmt.Errorf("compare the written file: %w", err)
	}
	if d := Differences(got, c.Carried(rec)); len(d) > 0 {
		return &MismatchError{Format: c.Name(), Line: got.Line, Token: rec.Name(), Field: d[0]}
	}
	return nil
}

// All yields records without errors, for Check.
func All(recs []Record) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for _, r := range recs {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// IsRow reports whether err is about one row, so that reading goes on.
func IsRow(err error) bool {
	var bad *RowError
	return errors.As(err, &bad)
}
