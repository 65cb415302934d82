package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// The subjects of the table throttle. All tokens of a person share one, so that naming them one by one gives no more tries.
const unknownSubject = "unknown" // it costs what a known one costs, and stops nothing

func personSubject(id token.PersonID) string { return "person " + strconv.FormatInt(int64(id), 10) }

func clientSubject(id int64) string { return "client " + strconv.FormatInt(id, 10) }

// budgetSubject is whose budget an Attempt may use up.
func budgetSubject(h validate.Holding, req validate.AttemptRequest) string {
	if req.Spoken != "" {
		return h.Subject + " codes"
	}
	return clientSubject(req.Client)
}

// failures are those of a subject; none if it has no row.
func failures(ctx context.Context, q querier, subject string) (n int, at time.Time, err error) {
	var us int64
	err = q.QueryRowContext(ctx, `SELECT failures, at FROM throttle WHERE subject = ?`, subject).Scan(&n, &us)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return n, fromMicros(us), err
}

// putThrottle forgets a subject without failures.
func (t *tx) putThrottle(subject string, to validate.Throttle) error {
	if to.Failures == 0 {
		_, err := t.Exec(`DELETE FROM throttle WHERE subject = ?`, subject)
		return err
	}
	return t.putFailures(subject, to.Failures, to.At)
}

func (t *tx) putFailures(subject string, n int, at time.Time) error {
	_, err := t.Exec(`INSERT INTO throttle (subject, failures, at) VALUES (?1, ?2, ?3)
		ON CONFLICT (subject) DO UPDATE SET failures = ?2, at = ?3`, subject, n, micros(at))
	return err
}
