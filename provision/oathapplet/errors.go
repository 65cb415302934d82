package oathapplet

import (
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// What callers branch on. Besides: *AccountError, *ykslot.UnsupportedError, apdu.ErrProtocol, ykslot.ErrUnsettled, and
// apdu.Status for what else a key refuses.
var (
	// ErrNoApplet: the key has no OATH application on this way, or it is switched off.
	ErrNoApplet = errors.New("the key's OATH application is switched off here, or the key has none")
	// ErrLocked: a password guards the accounts, and it was not given.
	ErrLocked = errors.New("the key's OATH accounts are locked by a password")
	// ErrWrongPassword: the key refused the access key. It counts no tries.
	ErrWrongPassword = errors.New("wrong password of the key's OATH accounts")
	// ErrForeignPassword: the key's password was set with another hash than Yubico's programs use; only the program that set
	// it can give it.
	ErrForeignPassword = errors.New("the password of the key's OATH accounts was set by a program with a rule of its own")
	// ErrNoPassword: an empty password.
	ErrNoPassword = errors.New("the password is empty")
	// ErrExists: an account of this ID is on the key, or one that this firmware would overwrite with it. It comes as an
	// *ExistsError.
	ErrExists = errors.New("the account is on the key already")
	// ErrNoAccount: no account of this ID is on the key.
	ErrNoAccount = errors.New("no such account on the key")
	// ErrFull: the key takes no further account.
	ErrFull = errors.New("the key has no room for another OATH account")
	// ErrTouchTimeout: nobody touched the key in time.
	ErrTouchTimeout = ykslot.ErrTouchTimeout
)

// AccountError: an account that no key can hold, or that would come back as another one.
type AccountError struct {
	Field  string // "issuer", "name", "id", "kind", "hash", "digits", "period", "counter", "seed"
	Reason string // without the value
}

func (e *AccountError) Error() string { return e.Field + ": " + e.Reason }

// ExistsError is ErrExists with the account in the way.
type ExistsError struct {
	ID string // as the key says it; escape it before it is printed
	// Prefix: the new ID is only the beginning of that one, and this firmware, 4.0.1 to 4.3.4, would overwrite it
	// (reference yubikey-otp.md §6.3).
	Prefix bool
}

func (e *ExistsError) Error() string {
	if e.Prefix {
		return fmt.Sprintf("this firmware would overwrite the account %q, whose name begins alike", e.ID)
	}
	return fmt.Sprintf("%v: %q", ErrExists, e.ID)
}

// Is makes it ErrExists.
func (e *ExistsError) Is(target error) bool { return target == ErrExists }

// Status words of this application. Source: reference yubikey-otp.md §6.4.
const (
	statusNoObject apdu.Status = 0x6984
	statusMemory   apdu.Status = 0x6581
	statusUnknown  apdu.Status = 0x6F00 // no diagnosis; a full NEO
)

// meanings are what status words mean to one command.
type meanings map[apdu.Status]error

// judge puts a status word in words. One that says that the key is locked, locks the session.
func (s *Session) judge(err error, means meanings) error {
	var sw apdu.Status
	if !errors.As(err, &sw) {
		return err
	}
	if sw == apdu.SecurityNotSatisfied {
		s.info.HasPassword, s.info.Locked, s.challenge = true, true, nil
		return fmt.Errorf("%w (%w)", ErrLocked, sw)
	}
	if word := means[sw]; word != nil {
		return fmt.Errorf("%w (%w)", word, sw)
	}
	return err
}

// unsettled marks an error of a change after which the key may hold the old or the new: its answer was not seen, or tells
// nothing.
func unsettled(err error) error {
	var sw apdu.Status
	if err == nil || errors.As(err, &sw) && !errors.Is(err, statusMemory) && (sw != statusUnknown || errors.Is(err, ErrFull)) {
		return err
	}
	return fmt.Errorf("%w: %w", ykslot.ErrUnsettled, err)
}
