package main

import (
	"errors"

	"github.com/tokendesk/tokendesk/provision/oathaccount"
	"github.com/tokendesk/tokendesk/provision/oathapplet"
)

// explainOATH: the OATH application of a key, or a rule about accounts.
func explainOATH(err error, x *explained) bool {
	var bad *oathapplet.AccountError
	var exists *oathapplet.ExistsError
	x.code = exitDevice
	switch {
	case errors.Is(err, oathaccount.ErrNotOurs):
		x.code = exitRefused
		x.hints = []string{"to overwrite it for good: --overwrite foreign --reason TEXT", "or take another name; see what there is: tokendesk oath list"}
	case errors.Is(err, oathaccount.ErrSteam):
		x.code = exitRefused
		x.hints = []string{"add what Steam shows: --uri-file or --qr, without --register"}
	case errors.Is(err, oathaccount.ErrMismatch):
		x.code = exitVerify
	case errors.As(err, &exists):
		x.code = exitRefused
		if exists.Prefix {
			x.hints = []string{"take a name that is not the beginning of another one", "or delete that account first: tokendesk oath delete"}
		}
	case errors.Is(err, oathapplet.ErrFull):
		x.code = exitRefused
		x.hints = []string{"delete what is not needed: tokendesk oath list, then tokendesk oath delete"}
	case errors.Is(err, oathapplet.ErrWrongPassword):
		x.code = exitRefused
		x.hints = []string{"it was tried once; repeat the command with the right one", "if nobody knows it, the application can only be emptied: tokendesk oath reset"}
	case errors.Is(err, oathapplet.ErrForeignPassword):
		x.code = exitRefused
		x.hints = []string{"take it away with that program, then set one here: tokendesk oath password"}
	case errors.Is(err, oathapplet.ErrTouchTimeout):
		x.code = exitVerify
		x.line = "the key was not touched in time"
	case errors.Is(err, oathapplet.ErrNoApplet):
		x.hints = []string{"switch it on: tokendesk device config --enable oath"}
	case errors.Is(err, oathapplet.ErrNoAccount):
		x.code = exitNotFound
		x.hints = []string{"see what there is: tokendesk oath list"}
	case errors.As(err, &bad):
		x.code = exitUsage
	default:
		x.code = exitError
		return false
	}
	return true
}
