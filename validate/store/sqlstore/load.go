package sqlstore

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/backup"
	"github.com/tokendesk/tokendesk/validate/store/postgres"
)

// batchValues bounds the values of one INSERT.
const batchValues = 1200

// loading is a store that is being filled by a backup, in one transaction.
type loading struct {
	*tx
	from   *backup.Reader
	p      Progress
	done   int64
	ends   []audit.Head // that were loaded
	report audit.Report // of the audit that was loaded
}

// load fills an empty store and calls finish, in one transaction: what is wrong leaves nothing. What was written is read back
// and compared before it is committed. The store's keys must be those of the backup.
func (s *Store) load(ctx context.Context, from *backup.Reader, p Progress, finish func(*loading) error) error {
	id, err := hex.DecodeString(from.Header.Store)
	if err != nil || len(id) != len(s.id) {
		return backup.ErrFormat
	}
	s.id = seal.StoreID(id)
	raw, err := s.backend.BeginSchema(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = raw.Rollback() }() // after the commit there is nothing to roll back
	l := &loading{tx: s.wrap(raw), from: from, p: p}
	l.actor = token.Actor(ctx, s.actor)
	if err := l.tables(ctx); err != nil {
		return err
	}
	for table, n := range from.Header.Last {
		if !slices.Contains(numberedAt(from.Header.Schema), table) {
			return fmt.Errorf("%w: it numbers an unknown table", backup.ErrFormat)
		}
		if err := s.backend.SetNumber(ctx, raw, table, n); err != nil {
			return err
		}
	}
	if err := l.identity(ctx); err != nil {
		return err
	}
	if err := finish(l); err != nil {
		return err
	}
	if err := l.finish(); err != nil {
		return err
	}
	if err := raw.Commit(); err != nil {
		if s.backend.Doubtful(err) {
			err = &DoubtError{err}
		}
		return err
	}
	return nil
}

// tables reads all tables, in the order of storedTables, up to the end of the backup.
func (l *loading) tables(ctx context.Context) error {
	for _, want := range tablesAt(l.from.Header.Schema) {
		t, err := l.from.Table()
		if err == io.EOF {
			return fmt.Errorf("%w: it has no table %s", backup.ErrFormat, want.name)
		}
		if err != nil {
			return err
		}
		if t.Name != want.name {
			return fmt.Errorf("%w: another table where %s should be", backup.ErrFormat, want.name)
		}
		columns, err := columnsOf(ctx, l.tx, want.name)
		if err != nil {
			return err
		}
		if !slices.Equal(columns, t.Columns) {
			return fmt.Errorf("%w: table %s has other columns", backup.ErrFormat, want.name)
		}
		if err := l.fill(ctx, want, columns); err != nil {
			return fmt.Errorf("table %s: %w", want.name, err)
		}
	}
	if _, err := l.from.Table(); err != io.EOF {
		if err == nil {
			err = fmt.Errorf("%w: it has more tables", backup.ErrFormat)
		}
		return err
	}
	return nil
}

// fill writes the rows of a table and reads them back.
func (l *loading) fill(ctx context.Context, t storedTable, columns []string) error {
	in := l.inserter(ctx, t.name, columns)
	defer in.close()
	var err error
	switch t.name {
	case "audit":
		l.report, err = audit.Verify(l.s.keys.Signing.Public(), l.events(in, columns), l.ends)
	case "audit_head":
		err = l.each(func(row []backup.Value) error {
			h, err := headOf(columns, row)
			l.ends = append(l.ends, h)
			if err != nil {
				return err
			}
			return in.add(row)
		})
	default:
		err = l.each(in.add)
	}
	if err == nil {
		err = in.flush()
	}
	if err != nil {
		return err
	}
	var back backup.Digest
	if err := eachRow(ctx, l.tx, storedTable{name: t.name}, columns, back.Add); err != nil {
		return err
	}
	if back != l.from.Digest() {
		return fmt.Errorf("%w: what was written is not what is read back", token.ErrIntegrity)
	}
	return nil
}

// each calls f with the rows of the present table.
func (l *loading) each(f func([]backup.Value) error) error {
	for {
		row, err := l.from.Row()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = f(row)
		}
		if err != nil {
			return err
		}
		if l.done++; l.done%1000 == 0 {
			l.p.tell(l.done, l.from.Header.Rows)
		}
	}
}

// events are the rows of the table audit, each written as it is read.
func (l *loading) events(in *inserter, columns []string) iter.Seq2[audit.Event, error] {
	return func(yield func(audit.Event, error) bool) {
		err := l.each(func(row []backup.Value) error {
			e, err := eventOf(columns, row)
			if err == nil {
				err = in.add(row)
			}
			if err == nil && !yield(e, nil) {
				err = errors.New("the audit was not read to its end")
			}
			return err
		})
		if err != nil {
			yield(audit.Event{}, err)
		}
	}
}

// field is a value by its column's name; the zero value if it is of another type.
func field[T any](columns []string, row []backup.Value, name string, ok *bool) T {
	i := slices.Index(columns, name)
	if i < 0 {
		*ok = false
		var none T
		return none
	}
	v, is := row[i].(T)
	*ok = *ok && is
	return v
}

func eventOf(columns []string, row []backup.Value) (audit.Event, error) {
	ok := true
	text := func(name string) string { return field[string](columns, row, name, &ok) }
	e := audit.Event{
		Chain: text("chain"), Seq: field[int64](columns, row, "seq", &ok), At: time.UnixMicro(field[int64](columns, row, "at", &ok)).UTC(),
		Actor: text("actor"), Action: text("action"), Object: text("object"), Detail: text("detail"),
	}
	prev, hash := field[[]byte](columns, row, "prev", &ok), field[[]byte](columns, row, "hash", &ok)
	if !ok {
		return e, backup.ErrFormat
	}
	copy(e.Prev[:], prev)
	copy(e.Hash[:], hash)
	if len(hash) != len(e.Hash) || len(prev) != len(e.Prev) { // as scanEvent
		e.Hash = audit.Hash{}
	}
	return e, nil
}

func headOf(columns []string, row []backup.Value) (audit.Head, error) {
	ok := true
	h := audit.Head{
		Chain: field[string](columns, row, "chain", &ok), Seq: field[int64](columns, row, "seq", &ok),
		At: time.UnixMicro(field[int64](columns, row, "at", &ok)).UTC(), Signature: field[[]byte](columns, row, "signature", &ok),
	}
	if hash := field[[]byte](columns, row, "hash", &ok); len(hash) == len(h.Hash) {
		copy(h.Hash[:], hash)
	}
	if !ok {
		return h, backup.ErrFormat
	}
	return h, nil
}

// identity checks that the store that was loaded is the one that the header names, and that the keys are its.
func (l *loading) identity(ctx context.Context) error {
	var id, check, public []byte
	err := l.QueryRowContext(ctx, `SELECT store_id, key_check, audit_key FROM meta WHERE id = 1`).Scan(&id, &check, &public)
	if errors.Is(err, sql.ErrNoRows) || err == nil && seal.StoreID(id) != l.s.id {
		return fmt.Errorf("%w: it holds another store", backup.ErrFormat)
	}
	if err != nil {
		return err
	}
	for _, v := range l.from.Header.Keys {
		if !l.s.ring().Has(v) {
			return fmt.Errorf("the sealing key's file lacks version %d: %w", v, token.ErrWrongKey)
		}
	}
	return l.s.owns(check, public)
}

// inserter writes rows, many in one statement.
type inserter struct {
	l       *loading
	ctx     context.Context // of one load
	table   string
	columns []string
	full    *sql.Stmt // for most rows at once
	most    int
	values  []any
	strict  bool // texts must be such as PostgreSQL can hold
}

func (l *loading) inserter(ctx context.Context, table string, columns []string) *inserter {
	_, strict := l.s.backend.(*postgres.Backend)
	return &inserter{l: l, ctx: ctx, table: table, columns: columns, most: max(1, batchValues/len(columns)), strict: strict}
}

func (in *inserter) text(rows int) string {
	one := "(" + strings.Repeat("?, ", len(in.columns)-1) + "?)"
	return `INSERT INTO ` + in.table + ` (` + strings.Join(in.columns, ", ") + `) VALUES ` + strings.Repeat(one+", ", rows-1) + one
}

func (in *inserter) add(row []backup.Value) error {
	for _, v := range row {
		if text, ok := v.(string); ok && in.strict && postgres.Clean(text) != text {
			return fmt.Errorf("%w: a text that PostgreSQL cannot hold, in the row of %s that begins with %v", token.ErrIntegrity, in.columns[0], row[0])
		}
		in.values = append(in.values, v)
	}
	if len(in.values) < in.most*len(in.columns) {
		return nil
	}
	if in.full == nil {
		text, _ := in.l.b.Bind(in.text(in.most), in.values)
		var err error
		if in.full, err = in.l.raw.PrepareContext(in.ctx, text); err != nil {
			return err
		}
	}
	_, err := in.full.ExecContext(in.ctx, in.values...)
	in.values = in.values[:0]
	return err
}

// flush writes what is left.
func (in *inserter) flush() error {
	if len(in.values) == 0 {
		return nil
	}
	_, err := in.l.Exec(in.text(len(in.values)/len(in.columns)), in.values...)
	in.values = in.values[:0]
	return err
}

func (in *inserter) close() {
	if in.full != nil {
		_ = in.full.Close() // the transaction says what failed
	}
}
