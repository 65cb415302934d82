package sqlstore

import (
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tokendesk/tokendesk/provision/token"
)

// laneSettings ready a connection: the plans of its few statements are made once, by index whatever the tables hold then; nobody holds
// rows for long; and what is committed is durable, unless the administrator chose something stronger.
func laneSettings() []string {
	return []string{
		`SET plan_cache_mode = force_generic_plan`,
		`SET enable_seqscan = off`, `SET enable_hashjoin = off`, `SET enable_mergejoin = off`, `SET enable_bitmapscan = off`,
		`SET jit = off`,
		patient,
		`SET idle_in_transaction_session_timeout = '30s'`,
		`SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`,
	}
}

// How long a row is waited for. Who asks for many rows has some of them already and skips those of others. PostgreSQL waits for such a one
// all the same if it was changed, and changed again by somebody else, while it was looked at ("while locking updated version", seen with 15). Waiting
// for one who waits for us ends by impatient, before the server looks for circles (deadlock_timeout, a second) and ends either of the two.
const (
	patient      = `SET lock_timeout = '5s'`
	impatient    = `SET LOCAL lock_timeout = '100ms'`
	patientAgain = `SET LOCAL lock_timeout = '5s'`
)

// The texts. waitText waits for one row; whoever asks it has no other.
const (
	waitText      = `SELECT credential FROM counter WHERE credential = $1 FOR UPDATE`
	pgDeskText    = `SELECT h.seq, h.hash, m.generation, m.closed FROM audit_head h, meta m WHERE h.chain = $1`
	pgPutHeadText = `INSERT INTO audit_head (chain, seq, hash, at, signature) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (chain) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, at = excluded.at, signature = excluded.signature`
	pgPutEventsText = `INSERT INTO audit (chain, seq, at, actor, action, object, detail, prev, hash)
		SELECT $1, e.seq, e.at, e.actor, e.action, e.object, e.detail, e.prev, e.hash
		FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::bytea[])
			AS e (seq, at, actor, action, object, detail, prev, hash)`
	pgConfirmText  = `UPDATE audit_head SET seq = seq WHERE chain = $1`
	pgGetEventText = `SELECT hash FROM audit WHERE chain = $1 AND seq = $2`
)

// decideText is the statement that decides: acceptText and spendText for many rows, which are locked one after the other. It returns a row
// for each that it could lock, which says whether its first OTP would have raised the counters if it were proven already, and one more
// for each whose counters were raised.
func decideText(lock string) string {
	return `WITH held AS (
			SELECT a.*, n.enabled AS is_enabled,
				NOT a.proven AND (SELECT c.state FROM credential c WHERE c.id = n.credential) <> 'active' AS unproven
			FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::boolean[], $9::bigint[])
				AS a (credential, use_counter, session_counter, timestamp, nonce, at, enabled, proven, kept)
			JOIN counter n ON n.credential = a.credential
			FOR UPDATE OF n ` + lock + `
		), raised AS (
			UPDATE counter n SET use_counter = h.use_counter, session_counter = h.session_counter, timestamp = h.timestamp, nonce = h.nonce, at = h.at
			FROM held h
			WHERE n.credential = h.credential AND n.enabled = h.enabled
				AND (n.use_counter, n.session_counter) < (h.use_counter, h.session_counter)
				AND (h.enabled = 0 OR NOT h.unproven)
				AND (h.kept = 0 OR h.kept = (SELECT generation FROM meta))
			RETURNING n.credential
		)
		SELECT credential, false, is_enabled = 1 AND unproven FROM held UNION ALL SELECT credential, true, false FROM raised`
}

// asked are the parameters of decideText.
type asked struct {
	credentials, use, session, clock, ats []int64
	nonces                                []string
	enabled                               []int64
	proven                                []bool
	kept                                  []int64
}

func (k *asked) add(p *press) {
	a, nonce, enabled := p.advance, p.advance.Nonce, int64(1)
	if p.kind == pressSpend {
		nonce, enabled = "", 0
	}
	k.credentials, k.use, k.session = append(k.credentials, int64(a.Credential)), append(k.use, int64(a.Use)), append(k.session, int64(a.Session))
	k.clock, k.nonces, k.ats = append(k.clock, int64(a.Timestamp)), append(k.nonces, nonce), append(k.ats, micros(a.At))
	k.enabled, k.proven, k.kept = append(k.enabled, enabled), append(k.proven, a.Proven), append(k.kept, int64(a.Kept))
}

func (k *asked) args() []any {
	return []any{k.credentials, k.use, k.session, k.clock, k.nonces, k.ats, k.enabled, k.proven, k.kept}
}

// rowVerdict is what decideText says about one row.
type rowVerdict struct{ raised, unproven bool }

func readRows(into map[token.CredentialID]rowVerdict) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		for rows.Next() {
			var id int64
			var v rowVerdict
			if err := rows.Scan(&id, &v.raised, &v.unproven); err != nil {
				return err
			}
			if !into[token.CredentialID(id)].raised { // the two rows come in any order
				into[token.CredentialID(id)] = v
			}
		}
		return rows.Err()
	}
}

// Conditions that are told apart. Source: PostgreSQL 15 documentation, appendix A.
const (
	uniqueViolation   = "23505"
	failedTransaction = "25P02"
	completionUnknown = "40003"
)

// refusal is an error by which the server says that a statement failed and the connection is well: whatever it was part of is undone.
func refusal(err error) (code string, ok bool) {
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code == completionUnknown {
		return "", false
	}
	if s := e.SeverityUnlocalized; s != "" && s != "ERROR" || s == "" && e.Severity != "ERROR" { // Severity is in the language of lc_messages
		return "", false
	}
	return e.Code, true
}

// transient reports whether what failed with err, leaving nothing, may succeed when it is done again. Codes: PostgreSQL, Appendix A.
func transient(err error) bool {
	if errors.Is(err, token.ErrMoved) {
		return false
	}
	code, refused := refusal(err)
	if !refused {
		return true // no connection
	}
	switch code {
	case "40001", "40P01", "55P03", // serialization failure, deadlock, lock not available in time
		uniqueViolation,                              // another chain is begun
		"0A000",                                      // a compiled statement whose tables have changed
		"25006",                                      // read-only: a standby, which may become the primary
		"26000", "25P01", failedTransaction, "53300": // of a connection that is not as we left it; too many connections
		return true
	}
	return code[:2] == "57" || code[:2] == "08"
}
