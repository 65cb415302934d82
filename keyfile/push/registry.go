package push

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/tokenname"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Registry is a server that keeps tokens by serial, with a switch on each: privacyIDEA and LinOTP. It starts every HOTP token at 0.
type Registry interface {
	// Find is the token of that serial; nil: there is none.
	Find(ctx context.Context, serial string) (*Token, error)
	// Init makes a token. Of a serial that is there it would change the key: call Find before.
	Init(ctx context.Context, rec keyfile.Record, serial string) error
	// Switch disables or enables a token; one that is not there is no error.
	Switch(ctx context.Context, serial string, on bool) error
	// Fields are the parameters that Find tells of a token made from rec.
	Fields(rec keyfile.Record) []Field
}

// Field is one parameter of a token, in the server's words.
type Field struct{ Name, Value string }

// Token is what a server tells of a token.
type Token struct {
	Active bool
	Fields map[string]string // what is not told is not in it
}

// BySerial gives a Registry the manners of a Target. Nothing is believed to be done that the server does not show afterwards.
type BySerial struct {
	Registry
	Server string                              // its name in errors
	Keeps  func(keyfile.Record) keyfile.Record // what it keeps of a record
	Notes  map[string]string                   // what the loss of a field means there
}

var _ Target = BySerial{}

// Loss implements Target.
func (b BySerial) Loss(rec keyfile.Record) []keyfile.Loss {
	out := keyfile.Unsound(rec, token.YubicoOTP, token.HOTP, token.TOTP)
	out = append(out, tokenname.SerialLosses(rec)...)
	if rec.Kind == token.HOTP && rec.Counter > 0 {
		out = append(out, keyfile.Fatal("counter", fmt.Sprintf(
			"this interface starts at 0, the token is at %d: codes that were used would count again; import a file that carries the counter", rec.Counter)))
	}
	return append(out, keyfile.Notes(rec, b.Keeps(rec), b.Notes)...)
}

// Enrol implements Target.
func (b BySerial) Enrol(ctx context.Context, rec keyfile.Record, at Place) (Result, error) {
	t, err := b.Find(ctx, at.Serial)
	if err != nil {
		return Result{}, err
	}
	status := AlreadyThere
	if t == nil {
		if err := b.Init(ctx, rec, at.Serial); err != nil {
			return Result{}, err
		}
		if t, err = b.Find(ctx, at.Serial); err != nil {
			return Result{}, err
		}
		status = Enrolled
	}
	if err := b.compare(t, rec); err != nil {
		return Result{}, err
	}
	if !t.Active {
		return Result{}, &RefusedError{b.Server, "active", "the token is there and was disabled there"}
	}
	return Result{Status: status}, nil
}

// compare looks at all that the server tells.
func (b BySerial) compare(t *Token, rec keyfile.Record) error {
	if t == nil {
		return &RefusedError{b.Server, "serial", "there is no token of this serial"}
	}
	for _, f := range b.Fields(rec) {
		if got, told := t.Fields[f.Name]; told && got != f.Value {
			return &RefusedError{b.Server, f.Name, "a token of this serial is there and differs; it was not changed"}
		}
	}
	return nil
}

// Disable implements Target. It switches also what it does not see: an administrator may be allowed less to look than to do.
func (b BySerial) Disable(ctx context.Context, at Place) (Result, error) {
	if err := b.Switch(ctx, at.Serial, false); err != nil {
		return Result{}, err
	}
	t, err := b.Find(ctx, at.Serial)
	switch {
	case err != nil:
		return Result{}, err
	case t == nil:
		return Result{Status: Gone}, nil
	case t.Active:
		return Result{}, &RefusedError{b.Server, "active", "the token is still active there"}
	}
	return Result{Status: Disabled}, nil
}

// Enable implements Target. A token that was deleted there is not made again.
func (b BySerial) Enable(ctx context.Context, rec keyfile.Record, at Place) (Result, error) {
	t, err := b.Find(ctx, at.Serial)
	if err != nil {
		return Result{}, err
	}
	if err := b.compare(t, rec); err != nil {
		return Result{}, err
	}
	if !t.Active {
		if err := b.Switch(ctx, at.Serial, true); err != nil {
			return Result{}, err
		}
		if t, err = b.Find(ctx, at.Serial); err != nil {
			return Result{}, err
		}
		if t == nil || !t.Active {
			return Result{}, &RefusedError{b.Server, "active", "the token stays disabled there"}
		}
	}
	return Result{Status: Enabled}, nil
}

// State implements Target.
func (b BySerial) State(ctx context.Context, at Place) (State, error) {
	t, err := b.Find(ctx, at.Serial)
	switch {
	case err != nil:
		return "", err
	case t == nil:
		return Absent, nil
	case t.Active:
		return Active, nil
	}
	return Inactive, nil
}
