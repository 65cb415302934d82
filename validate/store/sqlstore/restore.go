package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/backup"
	"github.com/tokendesk/tokendesk/validate/store/postgres"
	"github.com/tokendesk/tokendesk/validate/store/sqlite"
)

// RestoreOptions say how a backup is put back.
type RestoreOptions struct {
	// DamagedAudit takes a backup whose audit chain has findings: they were in the store when it was made.
	DamagedAudit bool
	// Logs are those of servers (LogSpent), which are replayed. Complete says, on the operator's word, that no other process answered since
	// the backup; what the logs tell against it counts more.
	Logs     []string
	Complete bool
	Progress Progress
}

// Restored is what was put back, and what became of it. What was spent, blocked or withdrawn after the backup is forgotten; so
// everything that could count twice is ended or made to prove itself.
type Restored struct {
	backup.Header `json:"header"`
	Epoch         int64        `json:"epoch"` // how often this store was put back
	Audit         audit.Report `json:"-"`
	Cautious      int          `json:"cautious"`          // credentials that need two fresh one-time passwords
	Raised        int          `json:"raised"`            // TOTP credentials whose codes up to now do not count
	Codes         int          `json:"codes"`             // temporary and recovery codes that were withdrawn
	Browsers      int          `json:"browsers"`          // trusted browsers that were dropped
	Links         int          `json:"links"`             // for apps, that were cancelled
	Sessions      int          `json:"sessions"`          // of operators, that were ended
	Logged        int          `json:"logged"`            // lines of logs that were read
	Replayed      int          `json:"replayed"`          // credentials and codes that they raised
	Trusted       bool         `json:"trusted"`           // the logs are complete: nothing need be cautious
	Missing       []string     `json:"missing,omitempty"` // why they are not
}

// AuditError is a backup whose audit chain is not as it was written.
type AuditError struct{ Findings []audit.Finding }

func (e *AuditError) Error() string {
	return fmt.Sprintf("the audit chain in the backup is not as it was written: %s, the first: %s", plural(len(e.Findings), "finding"), e.Findings[0])
}

// Unwrap makes it a matter of integrity.
func (e *AuditError) Unwrap() error { return token.ErrIntegrity }

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// Restore puts a backup back into an empty place: a directory without a store, or an empty database of PostgreSQL. Everything is
// checked before it is committed: then the store is there as a whole, or not at all. The errors are fs.ErrExist, token.ErrWrongKey,
// *SchemaError, *AuditError, those of package backup and of r.
func Restore(ctx context.Context, where string, keys Keys, o Options, r io.Reader, ro RestoreOptions) (Restored, error) {
	var out Restored
	err := build(ctx, where, keys, o, r, ro.Progress, func(l *loading) (err error) {
		out, err = l.restored(ctx, ro)
		return err
	})
	if err != nil {
		return Restored{}, fmt.Errorf("restore: %w", translate(err))
	}
	return out, nil
}

// build makes a store of a backup at an empty place.
func build(ctx context.Context, where string, keys Keys, o Options, r io.Reader, p Progress, finish func(*loading) error) error {
	if IsURL(where) {
		b, err := postgres.Open(ctx, where)
		if err != nil {
			return err
		}
		if err := buildIn(ctx, b, keys, o, r, p, finish); err != nil {
			return errors.Join(err, b.Close())
		}
		_ = b.Close() // it is there, and must not be taken for one that is not
		return nil
	}
	path := filepath.Join(where, sqlite.FileName)
	if err := sqlite.Absent(where); err != nil {
		return err
	}
	if err := os.MkdirAll(where, 0o700); err != nil {
		return err
	}
	work, err := os.MkdirTemp(where, ".restore-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // what is left of it is sealed, and in the store's directory
	b, err := sqlite.Create(work)
	if err != nil {
		return err
	}
	// The last one to close the database brings the log into the file.
	if err := errors.Join(buildIn(ctx, b, keys, o, r, p, finish), b.Close()); err != nil {
		return err
	}
	if err := sqlite.Whole(work); err != nil {
		return err
	}
	err = backup.Place(filepath.Join(work, sqlite.FileName), path)
	if _, e := os.Lstat(path); err != nil && e == nil && !errors.Is(err, fs.ErrExist) {
		return &DoubtError{err} // it has its name, but perhaps not after the next power failure
	}
	return err
}

func buildIn(ctx context.Context, b backend, keys Keys, o Options, r io.Reader, p Progress, finish func(*loading) error) error {
	s, err := newStore(b, keys, o)
	if err != nil {
		return err
	}
	from, err := backup.NewReader(r, keys.Signing.Public())
	if err != nil {
		return err
	}
	if err := s.vacant(ctx); err != nil {
		return err
	}
	if err := s.schemaOf(ctx, from.Header); err != nil {
		return err
	}
	if err := s.load(ctx, from, p, finish); err != nil {
		return err
	}
	if now, _, err := schema(); err != nil || from.Header.Schema == now {
		return err // it is committed: nothing else may fail
	}
	return s.migrate(ctx)
}

// schemaOf gives an empty database the tables of the backup. An older schema there is for SQLite only.
func (s *Store) schemaOf(ctx context.Context, h backup.Header) error {
	now, _, err := schema()
	if err != nil {
		return err
	}
	if h.Schema < 1 || h.Schema > now || h.Schema != now && s.database() != "sqlite" {
		return &SchemaError{h.Schema, now}
	}
	known, err := migrations(sqlite.Migrations())
	if err != nil {
		return err
	}
	if schemaSum(known[:h.Schema]) != h.Sum {
		return fmt.Errorf("%w: its tables are not those of any version of this program", backup.ErrFormat)
	}
	if h.Schema == now {
		return s.migrate(ctx)
	}
	for _, m := range known[:h.Schema] {
		if err := s.apply(ctx, m); err != nil {
			return fmt.Errorf("migration %d: %w", m.version, err)
		}
	}
	return nil
}

// restored makes a loaded store safe to answer from, although its counters may be behind.
func (l *loading) restored(ctx context.Context, ro RestoreOptions) (Restored, error) {
	out := Restored{Header: l.from.Header, Audit: l.report}
	if !l.report.OK() && !ro.DamagedAudit {
		return out, &AuditError{l.report.Findings}
	}
	if err := l.QueryRow(`SELECT epoch + 1 FROM meta WHERE id = 1`).Scan(&out.Epoch); err != nil {
		return out, err
	}
	if _, err := l.Exec(`UPDATE meta SET epoch = ?, closed = 0, moved_to = '' WHERE id = 1`, out.Epoch); err != nil {
		return out, err
	}
	var err error
	if out.Trusted, err = l.trust(ctx, ro, &out); err != nil {
		return out, err
	}
	if !out.Trusted {
		if err := l.distrust(ctx, &out); err != nil {
			return out, err
		}
	}
	if err := l.endAll(ctx, &out); err != nil {
		return out, err
	}
	if _, err := l.Exec(deriveEnabled(`1 = 1`)); err != nil {
		return out, err
	}
	return out, l.desk(actionRestore, "store", out.detail())
}

// detail is what the audit chain says of it.
func (r Restored) detail() map[string]any {
	d := map[string]any{
		"at": r.At.Format(time.RFC3339), "of": r.Desk.Seq, "from": r.Database, "rows": r.Rows, "epoch": r.Epoch, "trusted": r.Trusted,
		"cautious": r.Cautious, "raised": r.Raised, "codes": r.Codes, "browsers": r.Browsers, "links": r.Links, "sessions": r.Sessions,
	}
	if n := len(r.Audit.Findings); n > 0 {
		d["findings"] = n
	}
	if r.Logged > 0 {
		d["logged"], d["replayed"], d["missing"] = r.Logged, r.Replayed, len(r.Missing)
	}
	return d
}

// distrust makes everything cautious that may have been spent since the backup.
func (l *loading) distrust(ctx context.Context, out *Restored) (err error) {
	if out.Cautious, err = l.count(`UPDATE counter SET caution = ? WHERE credential IN (
		SELECT id FROM credential WHERE kind IN ('yubico-otp', 'hotp') AND state <> 'revoked')`, validate.Cautious); err != nil {
		return err
	}
	if out.Raised, err = l.raiseSteps(ctx); err != nil {
		return err
	}
	out.Codes, err = l.count(`UPDATE code SET revoked = ? WHERE revoked = 0 AND uses_left > 0`, micros(l.now))
	return err
}

// raiseSteps spends the TOTP codes of up to now: see validate.CautiousStep.
func (l *loading) raiseSteps(ctx context.Context) (int, error) {
	type totp struct {
		id     token.CredentialID
		moving int64
	}
	list, err := collect(ctx, l.tx, func(row scanner) (c totp, err error) {
		var m token.Model
		var n token.Counters
		var period, at, rate, driftAt int64
		err = row.Scan(&c.id, &m, &period, &n.Moving, &at, &n.Clock.Drift, &rate, &driftAt)
		n.At, n.Clock.Rate, n.Clock.At = fromMicros(at), time.Duration(rate)*time.Millisecond, fromMicros(driftAt)
		if err == nil && time.Duration(period) < time.Second {
			err = fmt.Errorf("%w: credential %d has no period", token.ErrIntegrity, c.id)
		}
		if err == nil {
			c.moving = validate.CautiousStep(m, n, time.Duration(period), l.now)
		}
		return c, err
	}, `SELECT c.id, t.model, c.period, n.moving, n.at, n.drift, n.rate, n.drift_at
		FROM credential c JOIN token t ON t.id = c.token JOIN counter n ON n.credential = c.id WHERE c.kind = 'totp' AND c.state <> 'revoked'`)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, c := range list {
		raised, err := l.count(`UPDATE counter SET moving = ?1 WHERE credential = ?2 AND moving < ?1`, c.moving, c.id)
		if err != nil {
			return 0, err
		}
		n += raised
	}
	return n, nil
}

// endAll ends what lets somebody in without a token and may have been used or withdrawn since the backup.
func (l *loading) endAll(ctx context.Context, out *Restored) error {
	persons, err := collect(ctx, l.tx, func(row scanner) (id token.PersonID, err error) { return id, row.Scan(&id) },
		`SELECT DISTINCT person FROM activation WHERE done = 0 AND cancelled = 0`)
	if err != nil {
		return err
	}
	for _, id := range persons {
		n, err := l.cancelLinks(ctx, id, "a backup was put back")
		if err != nil {
			return err
		}
		out.Links += n
	}
	for _, d := range []struct {
		count *int
		text  string
		args  []any
	}{
		{&out.Browsers, `UPDATE browser SET revoked = ?1 WHERE revoked = 0`, []any{micros(l.now)}},
		{&out.Sessions, `DELETE FROM session`, nil},
	} {
		if *d.count, err = l.count(d.text, d.args...); err != nil {
			return err
		}
	}
	return nil
}
