package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/validate/store/backup"
	"github.com/tokendesk/tokendesk/validate/store/spentlog"
)

// spentSince is what logs say was spent: the highest of each credential, the fewest uses that are left of each code.
type spentSince struct {
	lines  int
	otps   map[int64]spentlog.Entry
	moving map[int64]int64
	left   map[int64]int64
	logs   []spentlog.Log
}

// readLogs reads what logs of servers have of an epoch and later ones. What a damaged one has is taken too: counters only rise.
func readLogs(paths []string, epoch int64) (*spentSince, error) {
	out := &spentSince{otps: map[int64]spentlog.Entry{}, moving: map[int64]int64{}, left: map[int64]int64{}}
	for _, path := range paths {
		l, err := spentlog.Read(path, epoch, out.take)
		if err != nil {
			return nil, fmt.Errorf("log of spent one-time passwords: %w", err)
		}
		out.logs = append(out.logs, l)
	}
	return out, nil
}

func (s *spentSince) take(e spentlog.Entry) error {
	s.lines++
	switch e.Kind {
	case spentlog.OTP:
		if was, ok := s.otps[e.ID]; !ok || was.Use < e.Use || was.Use == e.Use && was.Session < e.Session {
			s.otps[e.ID] = e
		}
	case spentlog.Moving:
		if was, ok := s.moving[e.ID]; !ok || was < e.Moving {
			s.moving[e.ID] = e.Moving
		}
	case spentlog.Code:
		if was, ok := s.left[e.ID]; !ok || was > e.Left {
			s.left[e.ID] = e.Left
		}
	}
	return nil
}

// replay raises what was loaded to what the logs say, and counts what that changed. Credentials and codes of after the backup are not
// there.
func (l *loading) replay(s *spentSince) (raised int, err error) {
	change := func(text string, args ...any) {
		if err == nil {
			var n int
			n, err = l.count(text, args...)
			raised += n
		}
	}
	for id, e := range s.otps {
		change(`UPDATE counter SET use_counter = ?1, session_counter = ?2, timestamp = ?3, nonce = '', at = ?4
			WHERE credential = ?5 AND (use_counter, session_counter) < (?1, ?2)`, e.Use, e.Session, e.Timestamp, micros(e.At), id)
	}
	for id, moving := range s.moving {
		change(`UPDATE counter SET moving = ?1 WHERE credential = ?2 AND moving < ?1`, moving, id)
	}
	for id, left := range s.left {
		change(`UPDATE code SET uses_left = ?1 WHERE id = ?2 AND uses_left > ?1`, max(0, left), id)
	}
	return raised, err
}

// missing says what keeps the logs from being known to be complete since the backup; nothing if all that can be seen says that they
// are. That no other server ran, of which no log knows, only the operator can say.
func (l *loading) missing(ctx context.Context, s *spentSince) (why []string, err error) {
	h := l.from.Header
	var serves, sees []string
	for _, log := range s.logs {
		first := log.First
		switch {
		case first.Store != h.Store:
			why = append(why, log.Path+" is of another store")
			continue
		case log.Damage != "":
			why = append(why, log.Damage)
		case log.Last.Epoch < h.Epoch:
			why = append(why, log.Path+" ends before the store of the backup was put back")
		case first.Epoch > h.Epoch || first.Epoch == h.Epoch && first.Desk.Seq > h.Desk.Seq:
			why = append(why, log.Path+" begins after the backup")
		case first.Epoch == h.Epoch:
			same, err := l.deskAt(ctx, first.Desk)
			if err != nil {
				return nil, err
			}
			if !same {
				why = append(why, log.Path+" is of another history of this store")
			}
		}
		serves, sees = append(serves, log.Serves...), append(sees, log.Sees...)
	}
	slices.Sort(sees)
	for _, chain := range slices.Compact(sees) {
		if !slices.Contains(serves, chain) {
			why = append(why, "no log is here of the process that wrote the chain "+chain)
		}
	}
	return why, nil
}

// deskAt reports whether the desk chain of the backup stood there.
func (l *loading) deskAt(ctx context.Context, m audit.Mark) (bool, error) {
	var hash []byte
	err := l.QueryRowContext(ctx, `SELECT hash FROM audit WHERE chain = ? AND seq = ?`, audit.Desk, m.Seq).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return bytes.Equal(hash, m.Hash[:]), err
}

// trust replays logs, and reports whether nothing need be cautious: everything that was spent is known.
func (l *loading) trust(ctx context.Context, ro RestoreOptions, out *Restored) (bool, error) {
	if len(ro.Logs) == 0 {
		return false, nil
	}
	s, err := readLogs(ro.Logs, l.from.Header.Epoch)
	if err != nil {
		return false, err
	}
	if out.Missing, err = l.missing(ctx, s); err != nil {
		return false, err
	}
	if slices.ContainsFunc(s.logs, func(log spentlog.Log) bool { return log.First.Store != l.from.Header.Store }) {
		return false, fmt.Errorf("%w: %s", errOtherStore, out.Missing[0])
	}
	out.Logged = s.lines
	if out.Replayed, err = l.replay(s); err != nil {
		return false, err
	}
	return ro.Complete && len(out.Missing) == 0, nil
}

// errOtherStore is a log whose numbers mean other credentials.
var errOtherStore = fmt.Errorf("%w: the log does not belong to it", backup.ErrFormat)
