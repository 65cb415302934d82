package sqlstore

import (
	"context"
	"fmt"
)

// Careless are settings of the database by which a crash of its machine may lose what was committed, or damage all: each as name=value.
// A file has none: package sqlite sets what counts. Package postgres sets synchronous_commit. Source: PostgreSQL's documentation, "Write
// Ahead Log".
func (s *Store) Careless(ctx context.Context) ([]string, error) {
	if s.database() != "postgres" {
		return nil, nil
	}
	list, err := collect(ctx, s.read, func(row scanner) (string, error) {
		var name, value string
		err := row.Scan(&name, &value)
		return name + "=" + value, err
	}, `SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off' ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("read the database's settings: %w", translate(err))
	}
	return list, nil
}
