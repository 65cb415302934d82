package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/tokendesk/tokendesk/provision/token"
)

// prepared is a statement that every OTP needs, compiled once by prepare where that saves work.
type prepared struct {
	text string
	stmt *sql.Stmt // or nil
}

// statements are those that read, and those of the writing connection.
type statements struct {
	find, client, secrets prepared

	accept, spend, prove, proveToken, standing, getHead, putHead, putEvent, putEvents prepared
}

// The texts. accept and spend are the statements that decide.
const (
	findText = `SELECT c.id, c.token, c.version, c.state, t.state, n.enabled, n.caution, n.use_counter, n.session_counter, n.timestamp, n.moving, n.nonce, n.at,
			coalesce(t.holder, 0), coalesce((SELECT string_agg(g.name, ';') FROM person_group g WHERE g.person = t.holder), ''),
			(SELECT generation FROM meta), (SELECT closed FROM meta)
		FROM credential c JOIN token t ON t.id = c.token JOIN counter n ON n.credential = c.id
		WHERE c.public_id = ? AND c.kind = 'yubico-otp' AND c.state <> 'revoked'
		  AND (c.state <> 'pending' OR EXISTS (SELECT 1 FROM secret WHERE credential = c.id))
		ORDER BY c.state = 'pending' LIMIT 1`
	acceptText = `UPDATE counter SET use_counter = ?1, session_counter = ?2, timestamp = ?3, nonce = ?4, at = ?5
		WHERE credential = ?6 AND enabled = 1 AND (use_counter, session_counter) < (?1, ?2)`
	spendText = `UPDATE counter SET use_counter = ?1, session_counter = ?2, timestamp = ?3, nonce = '', at = ?4
		WHERE credential = ?5 AND enabled = 0 AND (use_counter, session_counter) < (?1, ?2)`
	proveText      = `UPDATE credential SET state = 'active', proven_at = ? WHERE id = ? AND state = 'programmed'`
	proveTokenText = `UPDATE token SET state = 'active' WHERE id = (SELECT token FROM credential WHERE id = ?) AND state = 'programmed'`
	getHeadText    = `SELECT seq, hash, at FROM audit_head WHERE chain = ?`
	putHeadText    = `INSERT INTO audit_head (chain, seq, hash, at, signature) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (chain) DO UPDATE SET seq = ?2, hash = ?3, at = ?4, signature = ?5`
	putEventText = `INSERT INTO audit (chain, seq, at, actor, action, object, detail, prev, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	manyEvents   = 8 // that putEvents inserts
	secretsText  = `SELECT what, key_version, sealed FROM secret WHERE credential = ? AND what <> 'next-code'`
	clientText   = `SELECT id, name, active, must_sign, decrypt, networks, groups, key_version, key_number, sealed, former_sealed, former_until, (SELECT generation FROM meta)
		FROM client WHERE id = ?`
	standingText = `SELECT closed, generation FROM meta`
)

func hotStatements() statements {
	t := func(text string) prepared { return prepared{text: text} }
	return statements{
		find: t(findText), client: t(clientText), secrets: t(secretsText),
		accept: t(acceptText), spend: t(spendText), prove: t(proveText), proveToken: t(proveTokenText),
		standing: t(standingText), getHead: t(getHeadText), putHead: t(putHeadText), putEvent: t(putEventText),
		putEvents: t(putEventText + strings.Repeat(`, (?, ?, ?, ?, ?, ?, ?, ?, ?)`, manyEvents-1)),
	}
}

// prepare compiles them, and readies the writer. The schema must be there.
func (s *Store) prepare(ctx context.Context) error {
	h := &s.hot
	for db, list := range map[*sql.DB][]*prepared{
		s.read.db:  {&h.find, &h.client, &h.secrets},
		s.write.db: {&h.accept, &h.spend, &h.prove, &h.proveToken, &h.standing, &h.getHead, &h.putHead, &h.putEvent, &h.putEvents},
	} {
		for _, p := range list {
			if !s.backend.Compiles() {
				continue
			}
			var err error
			if p.stmt, err = db.PrepareContext(ctx, p.text); err != nil {
				return err
			}
		}
	}
	return s.backend.Ready(ctx)
}

// row asks one of the reading statements.
func (s *Store) row(ctx context.Context, p prepared, args ...any) *sql.Row {
	if p.stmt == nil {
		return s.read.QueryRowContext(ctx, p.text, args...)
	}
	return p.stmt.QueryRowContext(ctx, args...)
}

// allowed is when a credential may validate, as far as its counters are trusted: the states of it (c) and of its token (t) validate
// and no write of the slot, or of what takes its place, is uncertain. It stands for the row counter.
func allowed() string {
	var states, phases []string
	for _, s := range token.States() {
		if s.Validates() {
			states = append(states, "'"+string(s)+"'")
		}
	}
	for _, p := range []token.Phase{token.Reserved, token.Sealed, token.Writing, token.Written, token.Committed, token.Aborted} {
		if p.Uncertain() {
			phases = append(phases, "'"+string(p)+"'")
		}
	}
	in := strings.Join(states, ", ")
	return fmt.Sprintf(`EXISTS (SELECT 1 FROM credential c JOIN token t ON t.id = c.token WHERE c.id = counter.credential
		AND c.state IN (%s) AND t.state IN (%s)
		AND NOT EXISTS (SELECT 1 FROM ledger l WHERE l.token = c.token AND (l.slot = c.slot AND l.slot <> 0 OR l.former = c.id) AND l.phase IN (%s)))`,
		in, in, strings.Join(phases, ", "))
}

// deriveEnabled is the one statement that sets counter.enabled to 1, where which says: the credential is allowed and its counters
// are trusted. Every change of a state, a phase or a caution ends with it.
func deriveEnabled(which string) string {
	return `UPDATE counter SET enabled = CASE WHEN caution = 0 AND ` + allowed() + ` THEN 1 ELSE 0 END WHERE ` + which
}

// enable sets what may be accepted of a token after a change.
func (t *tx) enable(id token.ID) error {
	_, err := t.Exec(t.s.derive, id)
	return err
}
