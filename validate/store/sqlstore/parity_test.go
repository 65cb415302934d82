package sqlstore

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// described are the tables of a database: a line for each column and index.
func described(t *testing.T, s *Store, text string) map[string]bool {
	t.Helper()
	list, err := collect(t.Context(), s.read, func(row scanner) (text string, err error) { return text, row.Scan(&text) }, text)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, line := range list {
		out[line] = true
	}
	return out
}

// TestSchemasAgree: the same columns, of the same kinds, with the same constraints and defaults, and the same indexes.
func TestSchemasAgree(t *testing.T) {
	t.Parallel()
	lite, _ := makeStore(t)
	pg, _ := makePostgres(t)
	want := described(t, lite, `SELECT t.name || '.' || c.name || ' ' || lower(c.type) || CASE WHEN c."notnull" = 1 OR c.pk > 0 THEN ' not null' ELSE '' END
			|| CASE WHEN c.dflt_value IS NULL THEN '' ELSE ' default ' || replace(c.dflt_value, 'x''''', '''''') END
		FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name <> 'sqlite_sequence'
		UNION ALL SELECT 'index ' || x.name || ' of ' || x.tbl_name || CASE WHEN x.sql LIKE 'CREATE UNIQUE%' THEN ' unique' ELSE '' END
			|| CASE WHEN x.sql LIKE '% WHERE %' OR x.sql LIKE '%' || char(10) || '%WHERE %' THEN ' partial' ELSE '' END
		FROM sqlite_schema x WHERE x.type = 'index' AND x.sql IS NOT NULL
		UNION ALL SELECT 'trigger ' || name || ' of ' || tbl_name FROM sqlite_schema WHERE type = 'trigger'`)
	got := described(t, pg, `SELECT table_name || '.' || column_name || ' ' || CASE data_type WHEN 'bigint' THEN 'integer' WHEN 'bytea' THEN 'blob' ELSE data_type END
			|| CASE is_nullable WHEN 'NO' THEN ' not null' ELSE '' END
			|| coalesce(' default ' || CASE column_default WHEN '''-1''::integer' THEN '-1' ELSE replace(replace(replace(replace(column_default, '::text', ''), '::bigint', ''), '::bytea', ''), '''\x''', '''''') END, '')
		FROM information_schema.columns WHERE table_schema = current_schema()
		UNION ALL SELECT 'index ' || i.indexname || ' of ' || i.tablename || CASE WHEN i.indexdef LIKE 'CREATE UNIQUE%' THEN ' unique' ELSE '' END
			|| CASE WHEN i.indexdef LIKE '% WHERE %' THEN ' partial' ELSE '' END
		FROM pg_indexes i WHERE schemaname = current_schema() AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname)
		UNION ALL SELECT DISTINCT 'trigger ' || tgname || ' of ' || tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal`)
	if len(want) < 150 {
		t.Fatalf("%d lines", len(want))
	}
	for line := range maps.Keys(want) {
		if !got[line] {
			t.Errorf("SQLite alone: %s", line)
		}
	}
	for line := range maps.Keys(got) {
		if !want[line] {
			t.Errorf("PostgreSQL alone: %s", line)
		}
	}
	loose := described(t, pg, `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = current_schema() AND data_type = 'text' AND coalesce(collation_name, '') <> 'C' AND table_name <> 'migration'`)
	if len(loose) > 0 {
		t.Errorf("not in the order of bytes: %v", slices.Sorted(maps.Keys(loose)))
	}
}

// TestPlans: what every request asks, and what a counter asks, is found by indexes, however many rows there are.
func TestPlans(t *testing.T) {
	t.Parallel()
	s, _ := makePostgres(t)
	const rows = 5_000
	execute(t, s, fmt.Sprintf(`
		ALTER TABLE person DISABLE TRIGGER USER; ALTER TABLE token DISABLE TRIGGER USER;
		INSERT INTO person (account, name, mail, created) SELECT 'user' || n, 'Name ' || n, '', 1 FROM generate_series(1, %[1]d) n;
		INSERT INTO token (model, serial, label, stock_number, state, holder, created) SELECT 'yubikey', n, 'L' || n, 'R' || n, 'active', n, 1 FROM generate_series(1, %[1]d) n;
		INSERT INTO credential (token, kind, slot, public_id, state, created, mark) SELECT n, 'yubico-otp', 1, 'cc' || n, 'active', 1, sha256(n::text::bytea) FROM generate_series(1, %[1]d) n;
		INSERT INTO counter (credential, enabled) SELECT n, 1 FROM generate_series(1, %[1]d) n;
		INSERT INTO secret (credential, what, key_version, sealed) SELECT n, 'aes-key', 1, '' FROM generate_series(1, %[1]d) n;
		INSERT INTO client (name, active, must_sign, key_version, sealed, created) SELECT 'c' || n, 1, 1, 1, '', 1 FROM generate_series(1, %[1]d) n;
		INSERT INTO person_word (word, person) SELECT 'name' || n, n FROM generate_series(1, %[1]d) n;
		INSERT INTO audit SELECT 'desk', n + 1, 1, '', '', 'token ' || n, '{}', '', '' FROM generate_series(1, %[1]d) n;
		INSERT INTO throttle SELECT 'person ' || n, 1, 1 FROM generate_series(1, %[1]d) n;
		ANALYZE`, rows))
	which, args := matching(desk.Match{ID: 7, Serial: 77, Text: "name 777"}, []token.ID{7777})
	for name, q := range map[string]struct {
		text string
		args []any
	}{
		"tokens":     {`SELECT ` + tokenColumns + tokenFrom + `WHERE t.id IN (` + which + `)`, args},
		"label":      {`SELECT id FROM token t WHERE t.serial = ? OR t.label <> '' AND t.label = ? AND t.model IN ('yubikey', 'hardware', 'app', 'sheet')`, []any{77, "L77"}},
		"find":       {findText, []any{"cc77"}},
		"client":     {clientText, []any{77}},
		"accept":     {acceptText, []any{1, 1, 1, "n", 1, 77}},
		"spend":      {spendText, []any{1, 1, 1, 1, 77}},
		"prove":      {proveText, []any{1, 77}},
		"raised":     {raisedText, []any{"cc77"}},
		"secrets":    {secretsText, []any{77}},
		"head":       {getHeadText, []any{"desk"}},
		"throttle":   {`SELECT failures, at FROM throttle WHERE subject = ?`, []any{"person 7"}},
		"person":     {`SELECT ` + personColumns + ` FROM person p WHERE p.account = ?`, []any{"user77"}},
		"name":       {`SELECT id FROM person p WHERE lower(p.name) = lower(?)`, []any{"Name 77"}},
		"serial":     {`SELECT ` + tokenColumns + tokenFrom + `WHERE t.serial = ?`, []any{77}},
		"holder":     {`SELECT ` + tokenColumns + tokenFrom + `WHERE t.holder = ?`, []any{77}},
		"credential": {`SELECT ` + credentialColumns + credentialFrom + `WHERE c.token = ?`, []any{77}},
		"mark":       {`SELECT ` + credentialColumns + credentialFrom + `WHERE c.mark = ?`, []any{[]byte("x")}},
		"word":       {`SELECT person FROM person_word WHERE word >= ? AND word < ?`, []any{"name777", "name777\U0010FFFF"}},
		"history":    {`SELECT at FROM audit WHERE chain = 'desk' AND object IN (?1, ?2) ORDER BY seq DESC LIMIT ?3`, []any{"token 7", "", 10}},
		"suspended":  {`SELECT ` + tokenColumns + tokenFrom + `WHERE t.until > 0 AND t.until <= ? AND t.state = 'suspended' ORDER BY t.id`, []any{1}},
		"link":       {linkColumns + `WHERE a.hash = ?`, []any{[]byte("x")}},
	} {
		plan, err := collect(t.Context(), s.read, func(row scanner) (line string, err error) { return line, row.Scan(&line) }, `EXPLAIN `+q.text, q.args...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, line := range plan {
			if scanned, ok := strings.CutPrefix(strings.TrimLeft(line, " ->"), "Seq Scan on "); ok && !strings.HasPrefix(scanned, "meta") && !strings.HasPrefix(scanned, "audit_head") &&
				!strings.HasPrefix(scanned, "person_group") && !strings.HasPrefix(scanned, "activation") {
				t.Errorf("%s reads a whole table:\n%s", name, strings.Join(plan, "\n"))
			}
		}
	}
}
