package eventlog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/eventlog"
)

var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func publicID(t testing.TB, s string) token.PublicID {
	t.Helper()
	id, err := token.ParsePublicID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestLine(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	bare := slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	l := eventlog.New(slog.New(slog.NewTextHandler(&text, &bare)))
	for _, c := range []struct {
		name string
		a    validate.Answered
		want string
	}{
		{"all of it", validate.Answered{
			Door: validate.DoorWSAPI, ID: "ab-1", Start: start, Took: 1500 * time.Microsecond, Source: "192.0.2.1", Route: "/wsapi/2.0/verify", Status: 200,
			Outcome: "OK", Reason: validate.ReasonAccepted, Client: 3, Signed: true, Token: 7, PublicID: publicID(t, "vvccccccccce"), Opened: true, Use: 5, Session: 0,
			Marks: validate.Marks{CapsFlag: true, Layout: "Neo"},
		}, `level=INFO msg=request door=wsapi id=ab-1 route=/wsapi/2.0/verify status=200 outcome=OK reason=accepted client=3 source=192.0.2.1 signed=true token=7 public_id=vvccccccccce use=5 session=0 layout=true caps_flag=true took=1.5ms`},
		{"staff", validate.Answered{Door: validate.DoorStaff, Route: "POST /api/v1/tokens/{id}/block", Status: 403, Code: "no-right", Operator: "grace", Source: "::1", Limited: true},
			`level=INFO msg=request door=staff route="POST /api/v1/tokens/{id}/block" status=403 code=no-right operator=grace source=::1 limited=true took=0s`},
		{"failed", validate.Answered{Door: validate.DoorRADIUS, Outcome: "failed", Err: errors.New("disk on fire"), After: errors.New("twice")},
			`level=ERROR msg=request door=radius outcome=failed error="disk on fire" after=twice took=0s`},
	} {
		text.Reset()
		l.Answered(t.Context(), c.a)
		if got := strings.TrimSuffix(text.String(), "\n"); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// TestWarnings: what staff should do something about is said once an hour for each token, and each thing.
func TestWarnings(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	l := eventlog.New(slog.New(slog.NewTextHandler(&log, nil)))
	say := func(id token.ID, after time.Duration, m validate.Marks, r validate.Reason, want int) {
		t.Helper()
		l.Answered(t.Context(), validate.Answered{Start: start.Add(after), Token: id, Marks: m, Reason: r})
		if got := strings.Count(log.String(), "level=WARN"); got != want {
			t.Errorf("after %v, token %d: %d warnings, want %d\n%s", after, id, got, want, log.String())
		}
	}
	near, copied := validate.Marks{NearEnd: true}, validate.Marks{NearEnd: true, Copied: true}
	say(1, 0, near, "", 1)
	say(1, time.Minute, near, "", 1)
	say(2, time.Minute, near, "", 2)
	say(1, 2*time.Minute, copied, "", 3)
	say(1, 3*time.Minute, validate.Marks{Delayed: true}, "", 4)
	say(1, 3*time.Minute, validate.Marks{}, validate.ReasonPrivateID, 5)
	say(1, time.Hour, near, "", 6)
	say(0, time.Hour, copied, "", 6) // nobody's
	say(1, time.Hour, validate.Marks{Dvorak: true, CapsFlag: true}, "", 6)
	for _, want := range []string{"remark=near_end", "remark=copied", "remark=delayed", "remark=foreign"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s is missing", want)
		}
	}
}

// FuzzLine: whatever stands in the texts, a request is one line, in text and in JSON.
func FuzzLine(f *testing.F) {
	f.Add("a\nlevel=ERROR msg=forged", "x\r\n", "\u2028\x00\x1b[2J")
	f.Add(`"}{"`, "\xff\xfe", `\n`)
	f.Fuzz(func(t *testing.T, a, b, c string) {
		event := validate.Answered{Door: validate.DoorOther, Source: a, Operator: b, Route: c, Outcome: a, Code: b, Kind: c, Err: errors.New(a), Support: b, ID: c}
		var text, object bytes.Buffer
		eventlog.New(slog.New(slog.NewTextHandler(&text, nil))).Answered(t.Context(), event)
		eventlog.New(slog.New(slog.NewJSONHandler(&object, nil))).Answered(t.Context(), event)
		for _, out := range []string{text.String(), object.String()} {
			if strings.Count(out, "\n") != 1 || strings.ContainsAny(out, "\r\x00\x1b") {
				t.Errorf("%q", out)
			}
		}
		if !json.Valid(object.Bytes()) || !strings.HasPrefix(text.String(), "time=") {
			t.Errorf("%s", object.String())
		}
	})
}

// TestNoSecretFits: an Answered has no field that a secret or raw bytes could be in.
func TestNoSecretFits(t *testing.T) {
	t.Parallel()
	seen := 0
	var walk func(path string, of reflect.Type)
	walk = func(path string, of reflect.Type) {
		if seen++; of == reflect.TypeFor[secret.Bytes]() || of.Kind() == reflect.Slice || of.Kind() == reflect.Array || of.Kind() == reflect.Map || of.Kind() == reflect.Pointer {
			if of != reflect.TypeFor[*time.Location]() {
				t.Errorf("%s is a %v", path, of)
			}
			return
		}
		if of.Kind() == reflect.Struct {
			for i := range of.NumField() {
				walk(path+"."+of.Field(i).Name, of.Field(i).Type)
			}
		}
	}
	walk("Answered", reflect.TypeFor[validate.Answered]())
	if seen < 20 {
		t.Errorf("%d fields", seen)
	}
}
