package keyfile

import (
	"fmt"
	"slices"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Loss is one thing of a record that a format cannot carry.
type Loss struct {
	Field string // one of the words of Differences
	Note  string // what that means to the reader of the file
	Fatal bool   // the target would compute wrong codes or refuse the file: the record is refused
}

// LossError says that a record cannot be written without coming out wrong.
type LossError struct {
	Format string
	Token  string // serial, label or public ID: what the operator calls it
	Loss   Loss
}

func (e *LossError) Error() string {
	return fmt.Sprintf("%s: token %s: %s: %s", e.Format, e.Token, e.Loss.Field, e.Loss.Note)
}

// Sizes in bytes. Sources: reference yubikey-otp.md §3.1; key-files.md §2 (the OATH applet hashes longer seeds).
const (
	KeySize        = 16 // AES-128
	PrivateIDSize  = 6
	AccessCodeSize = 6
	MaxSeedSize    = 64
)

// The largest numbers that are read where a server or an app has no limit of its own: a day, and more codes than a life has.
const (
	MaxPeriod  = 24 * time.Hour
	MaxCounter = 1 << 62
)

// Fatal is a loss that refuses the record.
func Fatal(field, note string) Loss { return Loss{Field: field, Note: note, Fatal: true} }

// Notes lists a loss for every field in which carried differs from rec, with the text of notes or a general one. An access code
// is never written: its general text says so.
func Notes(rec, carried Record, notes map[string]string) []Loss {
	var out []Loss
	for _, field := range Differences(rec, carried) {
		note, ok := notes[field]
		switch {
		case ok:
		case field == "access-code":
			note = "left out on purpose: who has it can reprogram the key"
		default:
			note = "this format has no place for it"
		}
		out = append(out, Loss{Field: field, Note: note})
	}
	return out
}

// Refused is the first fatal loss as a *LossError; nil when there is none.
func Refused(format string, rec Record, losses []Loss) error {
	for _, l := range losses {
		if l.Fatal {
			return &LossError{Format: format, Token: rec.Name(), Loss: l}
		}
	}
	return nil
}

// Unsound lists, as fatal losses, what makes rec no credential of its kind. Kinds other than those listed are refused.
func Unsound(rec Record, kinds ...token.Kind) []Loss {
	if !slices.Contains(kinds, rec.Kind) {
		return []Loss{Fatal("kind", fmt.Sprintf("this format holds no %s credentials", rec.Kind))}
	}
	if rec.Kind == token.YubicoOTP {
		return unsoundYubico(rec)
	}
	return unsoundOATH(rec)
}

func unsoundYubico(rec Record) (out []Loss) {
	if n := rec.Key.Len(); n != KeySize {
		out = append(out, Fatal("key", fmt.Sprintf("an AES-128 key has %d bytes, this one %d", KeySize, n)))
	}
	if n := rec.PrivateID.Len(); n != 0 && n != PrivateIDSize {
		out = append(out, Fatal("private-id", fmt.Sprintf("a private ID has %d bytes, this one %d", PrivateIDSize, n)))
	}
	return out
}

func unsoundOATH(rec Record) (out []Loss) {
	if n := rec.Key.Len(); n < 1 || n > MaxSeedSize {
		out = append(out, Fatal("key", fmt.Sprintf("a seed has 1 to %d bytes, this one %d", MaxSeedSize, n)))
	}
	if rec.Digits < 6 || rec.Digits > 8 {
		out = append(out, Fatal("digits", "6, 7 or 8 digits are possible"))
	}
	if !slices.Contains(Hashes(), rec.Hash) {
		out = append(out, Fatal("hash", "sha1, sha256 and sha512 are possible"))
	}
	if rec.Kind == token.HOTP && rec.Counter < 0 {
		out = append(out, Fatal("counter", "a moving factor is not negative"))
	}
	if rec.Kind == token.TOTP && (rec.Period < time.Second || rec.Period%time.Second != 0) {
		out = append(out, Fatal("period", "a period is a whole number of seconds, 1 at least"))
	}
	return out
}

// LossTOTP lists what keeps a TOTP credential out of a document for a server that takes 6 or 8 digits: seeds that readers take
// for damage, steps longer than MaxPeriod, names that cannot stand in any file. Source: reference key-files.md §8.5, §8.8.
func LossTOTP(rec Record) []Loss {
	out := Unsound(rec, token.TOTP)
	if rec.Digits == 7 {
		out = append(out, Fatal("digits", "the server takes 6 or 8"))
	}
	if rec.Key.Len() < MinSeedSize {
		out = append(out, Fatal("key", fmt.Sprintf("shorter than %d bytes, which readers take for damage", MinSeedSize)))
	}
	if rec.Period > MaxPeriod {
		out = append(out, Fatal("period", "longer than a day"))
	}
	for _, f := range []struct{ field, text string }{{"owner", rec.Owner}, {"issuer", rec.Issuer}, {"label", rec.Label}} {
		if cause := BadText(f.text); cause != "" {
			out = append(out, Fatal(f.field, "cannot stand in the file: "+cause))
		}
	}
	return out
}

// Hashes are the names that Record.Hash takes.
func Hashes() []string { return []string{"sha1", "sha256", "sha512"} }
