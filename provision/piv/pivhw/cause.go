//go:build (cgo || windows) && !nopcsc

package pivhw

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/tokendesk/tokendesk/provision/pcsc"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// cause translates what piv-go says: what PC/SC failed with as package pcsc has it, a wrong management key, a refused PIN, and a
// card's status word as an apdu.Status.
func cause(err error) error {
	if err == nil {
		return nil
	}
	if code, ok := serviceCode(err); ok {
		return pcsc.Cause(code)
	}
	var refused interface{ Status() uint16 }
	status := errors.As(err, &refused)
	switch said := err.Error(); {
	case isManagement(said) && (status || strings.Contains(said, "challenge failed") || strings.Contains(said, "invalid management key length")):
		return fmt.Errorf("%w (%v)", piv.ErrManagementKey, err) // not %w: a status of it would be taken for a PIN's
	case strings.Contains(said, "scard response too short"): // seen of a card that left while the service had not noticed
		return fmt.Errorf("%w (%w)", pcsc.ErrNoCard, err)
	case !status:
		return err
	}
	sw := apdu.Status(refused.Status())
	if n, ok := tries(sw); ok {
		return &piv.PINError{What: token.PIVPIN, Left: n}
	}
	switch sw {
	case apdu.SecurityNotSatisfied:
		return fmt.Errorf("%w (%w)", piv.ErrNotVerified, sw)
	case apdu.NoSuchReference, apdu.NotFound:
		return fmt.Errorf("%w (%w)", piv.ErrNoKey, sw)
	}
	return sw
}

// isManagement reports whether it went wrong while the management key was proven. The texts are those of piv-go v2.6.0, which has no
// other mark.
func isManagement(said string) bool {
	return strings.HasPrefix(said, "authenticating with management key: ") || strings.HasPrefix(said, "authenticating with old key: ")
}

// serviceCode is the code of PC/SC in an error of piv-go's, whose type for it is unexported and has nothing but a text.
func serviceCode(err error) (code uint32, ok bool) {
	for ; err != nil; err = errors.Unwrap(err) {
		v := reflect.ValueOf(err)
		if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
			continue
		}
		if rc := v.Elem().FieldByName("rc"); rc.IsValid() && rc.CanInt() {
			return uint32(rc.Int()), true
		}
	}
	return 0, false
}

// gone reports whether the card left.
func gone(err error) bool { return errors.Is(err, usbhid.ErrGone) || errors.Is(err, pcsc.ErrNoCard) }
