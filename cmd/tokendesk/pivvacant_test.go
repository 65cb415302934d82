package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision/piv"
)

// TestVacantSays: what is in a slot may be lost by the flags that the command really has.
func TestVacantSays(t *testing.T) {
	t.Parallel()
	for prefix, says := range map[string]string{"": "--overwrite --reason TEXT", "piv-": "--piv-overwrite --reason TEXT"} {
		o := pivKeyOptions{prefix: prefix, at: piv.Authentication}
		err := o.vacant(piv.KeyFacts{Slot: piv.Authentication, Key: piv.Yes, Object: true}, false)
		var occupied *piv.OccupiedError
		if x := explain(err); !errors.As(err, &occupied) || x.code != exitRefused || x.line != "slot 9a holds a key and a certificate" || !strings.Contains(strings.Join(x.hints, "\n"), says) {
			t.Errorf("%q: %v, %v", prefix, err, x.hints)
		}
		o.overwrite = true
		if err := o.vacant(piv.KeyFacts{Slot: piv.Authentication, Key: piv.Yes}, false); err != nil {
			t.Errorf("%q, to be overwritten: %v", prefix, err)
		}
	}
}
