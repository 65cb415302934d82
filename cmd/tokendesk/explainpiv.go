package main

import (
	"errors"

	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
)

// explainPIV: the PIV application of a key.
func explainPIV(err error, x *explained) bool {
	var wrong *piv.PINError
	var last *piv.LastTryError
	var occupied *piv.OccupiedError
	var old *piv.UnsupportedError
	x.code = exitRefused
	switch {
	case errors.As(err, &last):
		x.line = last.Error()
		x.hints = lastTryHints(last.What)
	case errors.Is(err, piv.ErrForeign):
		x.hints = []string{
			"if its secrets are known: tokendesk piv init with --management-key-file, --pin-file and --puk-file",
			"to wipe it, with every key and certificate on it: tokendesk piv init --reset --reason TEXT",
		}
	case errors.As(err, &wrong):
		x.line = wrong.Error()
		x.hints = pinHints(wrong)
	case errors.As(err, &occupied):
		x.hints = []string{"to lose it for good: --overwrite, or take another slot; see: tokendesk piv status"}
	case errors.As(err, &old):
		x.code = exitDevice
	default:
		return explainPIVKey(err, x)
	}
	return true
}

// explainPIVKey: keys and certificates, and secrets that nobody knows.
func explainPIVKey(err error, x *explained) bool {
	for _, row := range []struct {
		is    error
		code  exitCode
		hints []string
	}{
		{piv.ErrPIN, exitUsage, []string{"a PIN has 6 to 8 characters: no spaces, no runs such as 123456"}},
		{piv.ErrPINUnknown, exitRefused, []string{"type it, or name a file with it: --pin-file -", "or set another by the PUK: tokendesk piv unblock"}},
		{piv.ErrPUKUnknown, exitRefused, []string{"name a file with it: --puk-file FILE", "without it a blocked PIN stays blocked: tokendesk piv reset wipes the application"}},
		{piv.ErrManagementUnknown, exitRefused, []string{"the store that set the key up, or a backup of it, knows it; or name a file with it: --management-key-file FILE"}},
		{piv.ErrManagementKey, exitRefused, []string{"it is another one; nothing is counted, so it may be tried again"}},
		{piv.ErrNoKey, exitNotFound, []string{"make one: tokendesk piv generate SLOT"}},
		{piv.ErrOtherKey, exitRefused, []string{"look what is in the slots: tokendesk piv status"}},
		{piv.ErrNotGenuine, exitIntegrity, []string{
			"are these all certificates of the maker's, those between for firmware 5.7 too? https://developers.yubico.com/PKI/", "if they are, do not hand the key out"}},
		{piv.ErrNoApplet, exitDevice, []string{"switch it on: tokendesk device config --enable piv"}},
		{piv.ErrNotVerified, exitRefused, []string{"touch the key when it blinks, within 15 seconds, and repeat the command"}},
		{piv.ErrNoSerial, exitRefused, []string{"what the store keeps is found by the serial number: such a key cannot be set up here"}},
		{piv.ErrOtherCard, exitDevice, []string{"put the first key back and repeat the command"}},
		{piv.ErrProtocol, exitDevice, []string{"unplug the key, plug it in again and repeat the command"}},
	} {
		if errors.Is(err, row.is) {
			x.code, x.hints = row.code, row.hints
			return true
		}
	}
	x.code = exitError
	return false
}

func lastTryHints(what token.EscrowKind) []string {
	hints := []string{"if it is right for sure: --last-try; a wrong one blocks it"}
	if what == token.PIVPIN {
		hints = append(hints, "or set another by the PUK, which gives all tries back: tokendesk piv unblock")
	}
	return hints
}

func pinHints(e *piv.PINError) []string {
	switch {
	case e.What == token.PIVPUK && e.Left == 0:
		return []string{"only a reset is left, which loses every key and certificate: tokendesk piv reset"}
	case e.What == token.PIVPUK:
		return []string{"name the right one: --puk-file FILE"}
	case e.Left == 0:
		return []string{"set another by the PUK: tokendesk piv unblock"}
	}
	return []string{"name the right one: --pin-file -", "or set another by the PUK: tokendesk piv unblock"}
}
