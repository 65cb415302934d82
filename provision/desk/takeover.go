package desk

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// Foreign is what another validation server knows of one key.
type Foreign struct {
	Line           int
	Key            *keyfile.Record // the key itself, if it comes along, which is destroyed; nil: it must be here
	Active         bool            // false: it comes in blocked, or is blocked if it is here
	validate.Raise                 // Use -1: never used. A HOTP key, whose counter is in the record, has none
}

// ForeignClient is a relying server that another validation server knows. It keeps its number and its key, so that nothing changes for
// it. One that is not active stays so, and its key is not kept.
type ForeignClient struct {
	Line int
	validate.Client
	Created time.Time // zero: unknown
}

// MaxForeignClient is the highest number that a client is taken over with. Source: yubikey-val's column is an INT of 32 bits; behind it
// there is room for more clients within the ten digits of reference validation-protocol.md §2.
const MaxForeignClient = 1<<31 - 1

// foreignClients is how many clients are taken over in one transaction.
const foreignClients = 1000

// TakeOver takes over keys and counters of another validation server; source is the name of its file. Counters only rise: the
// same again changes nothing, in any order. Rows that could not be read are Bad and the rest goes on; any other error ends it, and
// what was reported before is stored. dry: nothing is.
func (d *Desk) TakeOver(ctx context.Context, source string, dry bool, rows iter.Seq2[Foreign, error], report func(Imported)) error {
	return takeBatches(rows, batch, report, Foreign.prepare, func(list []Foreign) ([]Imported, error) {
		return d.Store.TakeOver(ctx, source, list, dry)
	})
}

// TakeOverClients does so with clients.
func (d *Desk) TakeOverClients(ctx context.Context, source string, dry bool, rows iter.Seq2[ForeignClient, error], report func(Imported)) error {
	return takeBatches(rows, foreignClients, report, ForeignClient.prepare, func(list []ForeignClient) ([]Imported, error) {
		return d.Store.ImportClients(ctx, source, list, dry)
	})
}

// foreign is a row of either kind.
type foreign interface {
	line() int
	destroy()
}

func (f Foreign) line() int { return f.Line }

func (f Foreign) destroy() {
	if f.Key != nil {
		f.Key.Destroy()
	}
}

// prepare completes a row, and says what makes it unusable.
func (f Foreign) prepare() (out Foreign, field, note string) {
	if f.Key == nil {
		return f, "", ""
	}
	field, note = complete(f.Key)
	return f, field, note
}

func (c ForeignClient) line() int { return c.Line }

func (c ForeignClient) destroy() {
	for _, k := range c.Keys {
		k.Destroy()
	}
}

func (c ForeignClient) prepare() (out ForeignClient, field, note string) {
	var bad *TextError
	switch {
	case c.ID < 1 || c.ID > MaxForeignClient:
		return c, "id", fmt.Sprintf("not a number from 1 to %d", MaxForeignClient)
	case len(c.Keys) != 1 || c.Keys[0].Len() == 0:
		return c, "key", "is empty"
	case errors.As(checkText("name", c.Name, true), &bad), errors.As(checkText("notes", c.Note, false), &bad):
		return c, bad.Field, bad.Cause
	}
	if _, err := strconv.ParseInt(c.Name, 10, 64); err == nil {
		return c, "name", "is a number, as clients have one"
	}
	return c, "", ""
}

// takeBatches hands rows that are usable to settle in batches, and reports all in order. It destroys what is secret in them.
func takeBatches[T foreign](rows iter.Seq2[T, error], most int, report func(Imported), prepare func(T) (T, string, string), settle func([]T) ([]Imported, error)) error {
	var told []Imported
	var good []T
	flush := func() error {
		defer func() {
			for _, f := range good {
				f.destroy()
			}
			told, good = told[:0], good[:0]
		}()
		done, err := settle(good)
		if err != nil {
			return err
		}
		for _, row := range told {
			if row.Outcome == "" {
				row, done = done[0], done[1:]
			}
			report(row)
		}
		return nil
	}
	for f, err := range rows {
		var bad *keyfile.RowError
		row := Imported{Line: f.line()}
		switch {
		case errors.As(err, &bad):
			row = Imported{bad.Line, bad.Column, bad.Field, Bad, bad.Cause}
		case err != nil:
			f.destroy()
			return errors.Join(flush(), err)
		default:
			if f, row.Field, row.Note = prepare(f); row.Note != "" {
				row.Outcome = Bad
			}
		}
		if told = append(told, row); row.Outcome == "" {
			good = append(good, f)
		} else {
			f.destroy()
		}
		if len(told) == most {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// ForeignBlock is the block of a key that is inactive in source: nothing better than lost is known, and a fresh OTP brings it back.
func ForeignBlock(source string) Block {
	return Block{Reason: token.ReasonLost, Note: "inactive in " + source}
}
