// Package eventlog writes one line for every request to the log, in one form for all doors, and one for what staff should know
// about a key.
//
// A line of a request has the message "request" and the keys of the table in attrs, in that order; what is not known is left out. The
// values are those of validate.Answered: no OTP, no code, no secret, nothing as it came in. slog quotes what is not printable, so that
// no value begins a line of its own.
package eventlog

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// again is how often the same is told about the same key, maxTold how many keys are told apart.
const (
	again   = time.Hour
	maxTold = 10_000
)

// Log implements validate.Observer. Make it with New; it is safe for concurrent use.
type Log struct {
	log *slog.Logger

	mu   sync.Mutex
	told map[remark]time.Time
}

// remark is what was told, and about whom.
type remark struct {
	token token.ID
	word  string
}

// New returns a Log that writes to log.
func New(log *slog.Logger) *Log { return &Log{log: log, told: make(map[remark]time.Time)} }

var _ validate.Observer = (*Log)(nil)

// Answered implements validate.Observer.
func (l *Log) Answered(ctx context.Context, a validate.Answered) {
	level := slog.LevelInfo
	if a.Err != nil || a.After != nil {
		level = slog.LevelError
	}
	if l.log.Enabled(ctx, level) {
		l.log.LogAttrs(ctx, level, "request", attrs(&a)...)
	}
	l.warn(ctx, &a)
}

// attrs are the fields of a line.
func attrs(a *validate.Answered) []slog.Attr {
	list := make([]slog.Attr, 0, 20)
	text := func(name, value string) {
		if value != "" {
			list = append(list, slog.String(name, value))
		}
	}
	number := func(name string, value int64) {
		if value != 0 {
			list = append(list, slog.Int64(name, value))
		}
	}
	text("door", string(a.Door))
	text("id", a.ID)
	text("route", a.Route)
	number("status", int64(a.Status))
	text("outcome", a.Outcome)
	text("reason", string(a.Reason))
	text("code", a.Code)
	text("support_code", a.Support)
	number("client", a.Client)
	text("operator", a.Operator)
	text("source", a.Source)
	if a.Client != 0 {
		list = append(list, slog.Bool("signed", a.Signed))
	}
	text("kind", a.Kind)
	number("person", int64(a.Person))
	number("token", int64(a.Token))
	text("public_id", a.PublicID.String())
	if a.Opened {
		list = append(list, slog.Int("use", a.Use), slog.Int("session", a.Session))
	}
	for _, name := range a.Remarks() {
		list = append(list, slog.Bool(name, true))
	}
	for _, e := range []struct {
		name string
		err  error
	}{{"error", a.Err}, {"after", a.After}} {
		if e.err != nil {
			list = append(list, slog.String(e.name, e.err.Error()))
		}
	}
	return append(list, slog.Duration("took", a.Took))
}

// warnings are the remarks that staff should act upon, and what is said about them.
func warnings() map[string]string {
	return map[string]string{
		validate.MarkNearEnd: "the use counter of this key is almost used up: replace it",
		validate.MarkCopied:  "two keys seem to have the same secret: block this token and look into it",
		validate.MarkDelayed: "a one-time password was pressed long before it was sent",
		validate.MarkForeign: "a key has the right secret and another identity: block this token and look into it",
	}
}

// warn tells what is out of the ordinary about a key, once an hour.
func (l *Log) warn(ctx context.Context, a *validate.Answered) {
	if a.Token == 0 {
		return
	}
	for _, name := range a.Remarks() {
		if text := warnings()[name]; text != "" && l.isNew(remark{a.Token, name}, a.Start) {
			l.log.LogAttrs(ctx, slog.LevelWarn, text, slog.String("remark", name), slog.Int64("token", int64(a.Token)),
				slog.String("public_id", a.PublicID.String()), slog.String("id", a.ID))
		}
	}
}

// isNew reports whether this was not told within the hour. Where too many keys were told of, nothing is.
func (l *Log) isNew(r remark, at time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if was, known := l.told[r]; known && at.Sub(was).Abs() < again {
		return false
	}
	if len(l.told) >= maxTold {
		for old, was := range l.told {
			if at.Sub(was).Abs() >= again {
				delete(l.told, old)
			}
		}
		if len(l.told) >= maxTold {
			return false
		}
	}
	l.told[r] = at
	return true
}
