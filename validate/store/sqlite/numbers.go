package sqlite

import (
	"context"
	"database/sql"
)

// Numbers are the highest ids that tables ever gave, by table.
func (b *Backend) Numbers(ctx context.Context, t *sql.Tx, _ []string) (map[string]int64, error) {
	rows, err := t.QueryContext(ctx, `SELECT name, seq FROM sqlite_sequence`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]int64{}
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return nil, err
		}
		out[name] = n
	}
	return out, rows.Err()
}

// SetNumber makes a table give ids above n only. It has no rows above n.
func (b *Backend) SetNumber(ctx context.Context, t *sql.Tx, table string, n int64) error {
	r, err := t.ExecContext(ctx, `UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?`, n, table)
	if err != nil {
		return err
	}
	if changed, err := r.RowsAffected(); err != nil || changed > 0 {
		return err
	}
	_, err = t.ExecContext(ctx, `INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)`, table, n)
	return err
}
