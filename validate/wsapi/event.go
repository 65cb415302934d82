package wsapi

import (
	"context"
	"log/slog"
	"time"

	"github.com/tokendesk/tokendesk/validate"
)

// shown is how many characters of an OTP's block are logged: an OTP that was refused for another reason than itself is
// still good. Source: reference validation-protocol.md §16.
const shown = 4

// event is what one request leaves in the log.
type event struct {
	start   time.Time
	source  string
	request request
	client  int64
	limited bool
	result  validate.Result
	err     error
	noteErr error
}

// log writes the event. It holds no value that came in, but for a well-formed OTP its public ID and the four characters
// after it.
func (h *Handler) log(ctx context.Context, e *event, s status) {
	if h.Log == nil {
		return
	}
	attrs := []slog.Attr{
		slog.String("status", string(s)), slog.Int64("client", e.client), slog.String("source", e.source),
		slog.Int("version", int(e.request.version)), slog.Bool("signed", e.request.params["h"] != ""),
	}
	if otp := e.request.otp; len(validate.Readings(otp)) > 0 {
		attrs = append(attrs, slog.String("otp", otp[:len(otp)-minOTP+shown]))
	}
	r, level := e.result, slog.LevelInfo
	if r.Reason != "" {
		attrs = append(attrs, slog.String("reason", string(r.Reason)), slog.String("public_id", r.PublicID.String()))
	}
	if r.Opened {
		attrs = append(attrs, slog.Int("use", int(r.OTP.UseCounter)), slog.Int("session", int(r.OTP.SessionCounter)))
	}
	level = max(level, e.remarks(&attrs))
	for _, f := range []failure{{"error", e.err}, {"note_error", e.noteErr}} {
		if f.err != nil {
			level = slog.LevelError
			attrs = append(attrs, slog.String(f.name, f.err.Error()))
		}
	}
	h.Log.LogAttrs(ctx, level, "verify", append(attrs, slog.Duration("took", h.Now().Sub(e.start)))...)
}

type failure struct {
	name string
	err  error
}

// remarks adds what is out of the ordinary, each as name=true, and says how loud that is.
func (e *event) remarks(attrs *[]slog.Attr) slog.Level {
	m, level := e.result.Marks, slog.LevelInfo
	for _, remark := range []struct {
		name string
		set  bool
		loud slog.Level
	}{
		{"limited", e.limited, slog.LevelInfo},
		{"dvorak", m.Dvorak, slog.LevelInfo},
		{"layout", m.Layout != "", slog.LevelInfo},
		{"cleaned", m.Changes != "", slog.LevelInfo},
		{"caps_flag", m.CapsFlag, slog.LevelInfo},
		{"delayed", m.Delayed, slog.LevelInfo},
		{"near_end", m.NearEnd, slog.LevelWarn},
		{"copied", m.Copied, slog.LevelWarn},
		{"foreign", e.result.Reason == validate.ReasonPrivateID, slog.LevelWarn},
	} {
		if remark.set {
			level = max(level, remark.loud)
			*attrs = append(*attrs, slog.Bool(remark.name, true))
		}
	}
	return level
}
