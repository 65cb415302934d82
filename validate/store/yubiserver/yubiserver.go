// Package yubiserver reads what a yubiserver knows, from its SQLite file: keys with their counters, HOTP tokens and API keys.
//
//	yubikeys(nickname, publicname, created, internalname, aeskey, active, counter, time)
//	oathtokens(nickname, publicname, created, secret, active, counter)
//	apikeys(nickname, secret, id)
//
// counter of a key is use counter · 256 + session counter of the last OTP, 1 for a fresh one; that of a HOTP token is the moving factor
// of the last code, also 1 for a fresh one. Secrets are in hexadecimal but the API key: of that the characters themselves are the key.
// Source: reference validation-protocol.md §13 and §4; the counter of HOTP tokens was seen at yubiserver 0.6.
//
// The file may have been made by anybody. It is opened read-only and as one that nobody changes, so that nothing is written beside it;
// it must be whole; what is read must be a table, no view and no virtual one; values are read up to a length, whatever their type.
package yubiserver

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite" // the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// What a file can be that is not read.
var (
	ErrFormat = errors.New("this is no file of yubiserver")
	ErrOpen   = errors.New("yubiserver is running or was killed: stop it, and start and stop it once if it was killed")
	ErrBroken = errors.New("the file is damaged")
)

// magic begins every SQLite file. Source: sqlite.org/fileformat2.html §1.3.
const magic = "SQLite format 3\x00"

// maxText is the longest value that is read, in characters: more than any column should have.
const maxText = 200

// maxRow is the longest row or value that SQLite makes, in bytes; so the schema's texts are bounded too.
const maxRow = 4 << 20

// File is an open file. It may be used by one goroutine.
type File struct {
	db     *sql.DB
	Digits int // of the codes of HOTP tokens, which the file does not tell: yubiserver takes 6 and 8
}

// Open opens a file. The errors are those of package os, ErrFormat, ErrOpen and ErrBroken.
func Open(ctx context.Context, path string) (*File, error) {
	f, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("yubiserver: %w", err)
	}
	return f, nil
}

func open(ctx context.Context, path string) (*File, error) {
	path, err := filepath.EvalSymlinks(path) // a journal stands beside the file
	if err != nil {
		return nil, err
	}
	if err := plausible(path); err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	p := filepath.ToSlash(abs)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // file:///C:/dir
	}
	u := url.URL{Scheme: "file", Path: p, RawQuery: "mode=ro&immutable=1&_pragma=query_only(1)&_pragma=trusted_schema(0)&_pragma=cell_size_check(1)&_pragma=mmap_size(0)"}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	f := &File{db: db, Digits: 6}
	if err := errors.Join(bound(ctx, db), f.check(ctx)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return f, nil
}

// bound limits what a row or a value may take, which expressions in the file could make of gigabytes. The limit is the connection's, of
// which there is one.
func bound(ctx context.Context, db *sql.DB) error {
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	_, err = sqlite.Limit(c, sqlite3.SQLITE_LIMIT_LENGTH, maxRow)
	return errors.Join(err, c.Close())
}

// plausible looks at the file before SQLite does.
func plausible(path string) error {
	for _, suffix := range []string{"-journal", "-wal"} { // what is in them is not in the file
		if st, err := os.Stat(path + suffix); err == nil && st.Size() > 0 {
			return ErrOpen
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if st, err := os.Stat(path); err != nil {
		return err
	} else if !st.Mode().IsRegular() { // to open a pipe is to wait for its writer
		return ErrFormat
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	head := make([]byte, len(magic))
	if _, err = io.ReadFull(f, head); err != nil || string(head) != magic {
		err = ErrFormat
	}
	return errors.Join(err, f.Close())
}

// check finds out whether the file is whole and has the tables.
func (f *File) check(ctx context.Context) error {
	var found string
	if err := f.db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&found); err != nil || found != "ok" {
		return damage(ctx, ErrBroken)
	}
	for name, columns := range map[string]string{
		"yubikeys": "nickname, publicname, created, internalname, aeskey, active, counter, time", "oathtokens": "nickname, publicname, created, secret, active, counter",
		"apikeys": "nickname, secret, id",
	} {
		var made string
		err := f.db.QueryRowContext(ctx, `SELECT substr(sql, 1, 20) FROM sqlite_schema WHERE type = 'table' AND name = ?`, name).Scan(&made)
		if err != nil || !strings.HasPrefix(strings.ToUpper(strings.Join(strings.Fields(made), " ")), "CREATE TABLE ") {
			return damage(ctx, ErrFormat)
		}
		rows, err := f.db.QueryContext(ctx, `SELECT `+columns+` FROM main.`+name+` LIMIT 0`)
		if err != nil {
			return damage(ctx, ErrFormat)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return damage(ctx, ErrFormat)
		}
	}
	return nil
}

// damage is what went wrong, unless it is the end of ctx. The driver's words may have values of the file in them.
func damage(ctx context.Context, what error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return what
}

// Close closes the file.
func (f *File) Close() error { return f.db.Close() }

// Rows is how many rows all tables have.
func (f *File) Rows(ctx context.Context) (n int64, err error) {
	err = f.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM main.yubikeys) + (SELECT count(*) FROM main.oathtokens) + (SELECT count(*) FROM main.apikeys)`).Scan(&n)
	if err != nil {
		return 0, damage(ctx, fmt.Errorf("yubiserver: %w", ErrBroken))
	}
	return n, nil
}

// rows reads columns of a table as text, in the order of its rows. A bad row is a *keyfile.RowError.
func rows[T any](ctx context.Context, f *File, table, columns string, parse func(*row) T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		names := strings.Split(columns, ", ")
		var texts []string
		for _, n := range names {
			texts = append(texts, fmt.Sprintf("CASE WHEN typeof(%[1]s) IN ('text', 'integer') THEN substr(CAST(%[1]s AS TEXT), 1, %[2]d) END", n, maxText+1))
		}
		list, err := f.db.QueryContext(ctx, `SELECT `+strings.Join(texts, ", ")+` FROM main.`+table+` ORDER BY rowid`)
		if err != nil {
			yield(zero, damage(ctx, fmt.Errorf("yubiserver: %w", ErrBroken)))
			return
		}
		defer list.Close()
		for line := 1; list.Next(); line++ {
			r := &row{table: table, line: line, names: names, values: make([]sql.NullString, len(names))}
			into := make([]any, len(names))
			for i := range r.values {
				into[i] = &r.values[i]
			}
			if err := list.Scan(into...); err != nil {
				yield(zero, damage(ctx, fmt.Errorf("yubiserver: %s: row %d: %w", table, line, ErrBroken)))
				return
			}
			v := parse(r)
			if r.err != nil {
				if !yield(zero, r.err) {
					return
				}
				continue
			}
			if !yield(v, nil) {
				return
			}
		}
		if list.Err() != nil {
			yield(zero, damage(ctx, fmt.Errorf("yubiserver: %s: %w", table, ErrBroken)))
		}
	}
}

// row is one row; the first problem sticks.
type row struct {
	table  string
	line   int
	names  []string
	values []sql.NullString
	err    error
}

func (r *row) bad(column int, cause string) {
	if r.err == nil {
		r.err = &keyfile.RowError{Format: "yubiserver's " + r.table, Line: r.line, Column: column, Field: r.names[column-1], Cause: cause}
	}
}

// text is the value in a column, 1 the first.
func (r *row) text(column int) string {
	v := r.values[column-1]
	if !v.Valid || len(v.String) > maxText {
		r.bad(column, "is no short text or number")
		return ""
	}
	return v.String
}

func (r *row) number(column int, most int64) int64 {
	n, err := strconv.ParseInt(r.text(column), 10, 64)
	if err != nil || n < 0 || n > most {
		r.bad(column, fmt.Sprintf("not a number from 0 to %d", most))
	}
	return n
}

// secret reads bytes in hexadecimal, from least to most of them.
func (r *row) secret(column, least, most int) secret.Bytes {
	raw, err := hex.DecodeString(r.text(column))
	if err != nil || len(raw) < least || len(raw) > most {
		clear(raw)
		r.bad(column, "not the right number of hexadecimal digits")
		return secret.Bytes{}
	}
	return secret.New(raw)
}

// active is as yubiserver compares: with the text 1.
func (r *row) active(column int) bool { return r.values[column-1].String == "1" }

// name is a nickname, which is the label of a token here, and its holder if there is a person of that account.
func (r *row) name(column int) string {
	name := r.text(column)
	if cause := keyfile.BadText(name); cause != "" {
		r.bad(column, cause)
	}
	return name
}

// created reads yubiserver's time, 2026-11-22T03:59:22.866Z; another text is none. It is local time, whatever the Z says.
func created(text string) time.Time {
	t, err := time.Parse("2006-01-02T15:04:05", text[:min(len(text), 19)])
	if err != nil {
		return time.Time{}
	}
	return t
}

// Keys are the Yubico OTP keys. The caller destroys them.
func (f *File) Keys(ctx context.Context) iter.Seq2[desk.Foreign, error] {
	return rows(ctx, f, "yubikeys", "nickname, publicname, created, internalname, aeskey, active, counter, time", func(r *row) desk.Foreign {
		id, err := token.ParsePublicID(r.text(2))
		if err != nil {
			r.bad(2, err.Error())
		}
		count := r.number(7, 1<<24-1)
		k := keyfile.Record{Line: r.line, Kind: token.YubicoOTP, Label: r.name(1), Owner: r.name(1), PublicID: id, Created: created(r.text(3)),
			PrivateID: r.secret(4, keyfile.PrivateIDSize, keyfile.PrivateIDSize), Key: r.secret(5, keyfile.KeySize, keyfile.KeySize)}
		raise := validate.Raise{PublicID: id, Use: int(count>>8) & 0x7fff, Session: int(count & 0xff), Timestamp: int(r.number(8, 1<<24-1))}
		if r.err != nil {
			k.Destroy()
		}
		return desk.Foreign{Line: r.line, Key: &k, Active: r.active(6), Raise: raise}
	})
}

// Tokens are the HOTP tokens. Their public name is the label: what the token types before the code, or what is printed on it. The caller
// destroys them.
func (f *File) Tokens(ctx context.Context) iter.Seq2[desk.Foreign, error] {
	return rows(ctx, f, "oathtokens", "nickname, publicname, created, secret, active, counter", func(r *row) desk.Foreign {
		label := r.text(2)
		if cause := keyfile.BadText(label); cause != "" || label == "" {
			r.bad(2, "is no name of a token")
		}
		k := keyfile.Record{Line: r.line, Kind: token.HOTP, Label: label, Owner: r.name(1), Created: created(r.text(3)), Digits: f.Digits, Hash: "sha1",
			Counter: r.number(6, keyfile.MaxCounter-1) + 1, Key: r.secret(4, keyfile.MinSeedSize, keyfile.MaxSeedSize)}
		if r.err != nil {
			k.Destroy()
		}
		return desk.Foreign{Line: r.line, Key: &k, Active: r.active(5)}
	})
}

// Clients are the API keys. yubiserver has no name that is unique, and no way to switch one off. The caller destroys the keys.
func (f *File) Clients(ctx context.Context) iter.Seq2[desk.ForeignClient, error] {
	return rows(ctx, f, "apikeys", "nickname, secret, id", func(r *row) desk.ForeignClient {
		id, key := r.number(3, desk.MaxForeignClient), r.text(2)
		if key == "" {
			r.bad(2, "is empty")
		}
		c := validate.Client{ID: id, Name: fmt.Sprintf("yubiserver %d", id), Active: true, Keys: []secret.Bytes{secret.New([]byte(key))}}
		if r.values[0].Valid { // the column may be NULL
			c.Note = r.name(1)
		}
		return desk.ForeignClient{Line: r.line, Client: c}
	})
}
