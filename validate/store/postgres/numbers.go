package postgres

import (
	"context"
	"database/sql"
)

// Numbers are the highest ids that tables ever gave, by table, of those named.
func (b *Backend) Numbers(ctx context.Context, t *sql.Tx, tables []string) (map[string]int64, error) {
	out := map[string]int64{}
	for _, table := range tables {
		var n sql.NullInt64
		if err := t.QueryRowContext(ctx, `SELECT pg_sequence_last_value(pg_get_serial_sequence($1, 'id')::regclass)`, table).Scan(&n); err != nil {
			return nil, err
		}
		if n.Valid {
			out[table] = n.Int64
		}
	}
	return out, nil
}

// SetNumber makes a table give ids above n only.
func (b *Backend) SetNumber(ctx context.Context, t *sql.Tx, table string, n int64) error {
	_, err := t.ExecContext(ctx, `SELECT setval(pg_get_serial_sequence($1, 'id')::regclass, $2)`, table, n)
	return err
}
