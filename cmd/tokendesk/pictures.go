package main

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/migration"
	"github.com/tokendesk/tokendesk/keyfile/otpauth"
	"github.com/tokendesk/tokendesk/keyfile/qr"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// pictures takes in the QR codes of all pictures together, because an app shows one export in several codes. The line of a record is the
// number of its code.
func (m *importing) pictures(ctx context.Context, names []string) error {
	if m.o.format != "" || m.o.vendorFlags != (vendorFlags{}) {
		return usagef("QR codes say themselves what they are: leave --format, --type, --digits, --hash, --period and --encoding out")
	}
	var codes []secret.Bytes
	defer func() {
		for _, c := range codes {
			c.Destroy()
		}
	}()
	for _, name := range names {
		found, err := m.picture(ctx, name)
		if err != nil {
			return err
		}
		m.say("%s: %s", printable(name), count(len(found), "QR code"))
		codes = append(codes, found...)
	}
	label := printable(strings.Join(names, ", "))
	return m.records(ctx, label, "QR codes", codeRecords(codes), func() {})
}

func (m *importing) picture(ctx context.Context, name string) ([]secret.Bytes, error) {
	in, err := m.openInput(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }() // read only
	codes, err := qr.Decode(in)
	if err != nil {
		return nil, in.fault(err)
	}
	return codes, nil
}

// codeRecords reads the texts of QR codes: first the codes that services show, then an app's export, whose codes belong together.
func codeRecords(codes []secret.Bytes) iter.Seq2[keyfile.Record, error] {
	readers := []keyfile.Reader{otpauth.Codec{}, migration.Codec{}}
	return func(yield func(keyfile.Record, error) bool) {
		sorted := make([][]byte, len(readers)) // every code is a line, and empty where it is another reader's
		defer func() {
			for _, text := range sorted {
				clear(text)
			}
		}()
		for i, code := range codes {
			reader := -1
			for n, r := range readers {
				if r.Detect(code.Reveal()) > 0 && bytes.IndexByte(code.Reveal(), '\n') < 0 {
					reader = n
				}
			}
			for n := range readers {
				if n == reader {
					sorted[n] = appendCleared(sorted[n], code.Reveal())
				}
				sorted[n] = appendCleared(sorted[n], []byte("\n"))
			}
			if reader < 0 && !yield(keyfile.Record{}, &keyfile.RowError{Format: "qr", Line: i + 1, Field: "code", Cause: "neither otpauth nor otpauth-migration: another kind of QR code"}) {
				return
			}
		}
		for n, r := range readers {
			for rec, err := range keyfile.Import(r, bytes.NewReader(sorted[n])) {
				if err != nil && !keyfile.IsRow(err) {
					err = fmt.Errorf("QR codes: %w", err)
				}
				if !yield(rec, err) {
					return
				}
			}
		}
	}
}

// appendCleared appends and leaves no copy behind when the memory grows.
func appendCleared(dst, more []byte) []byte {
	if len(dst)+len(more) <= cap(dst) {
		return append(dst, more...)
	}
	grown := make([]byte, 0, 2*(len(dst)+len(more)))
	grown = append(append(grown, dst...), more...)
	clear(dst)
	return grown
}
