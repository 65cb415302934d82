package main

import (
	"errors"
	"testing"

	"github.com/tokendesk/tokendesk/provision/piv"
)

// TestVacant: the key of an interrupted run is taken; what was there before the set-up began is not, and is not lost either.
func TestVacant(t *testing.T) {
	t.Parallel()
	made := piv.KeyFacts{Slot: piv.Authentication, Key: piv.Yes, Generated: piv.Yes, Algorithm: piv.P256, PIN: piv.PINOnce, Touch: piv.TouchNever}
	imported, object := made, piv.KeyFacts{Slot: piv.Authentication, Key: piv.No, Object: true}
	imported.Generated = piv.No
	for name, test := range map[string]struct {
		have             piv.KeyFacts
		begun, overwrite bool
		vacant           bool
	}{
		"empty":                    {have: piv.KeyFacts{Slot: piv.Authentication, Key: piv.No}, vacant: true},
		"made by this run":         {have: made, begun: true, vacant: true},
		"made by somebody else":    {have: made},
		"that may be lost":         {have: made, overwrite: true, vacant: true},
		"imported":                 {have: imported, begun: true},
		"a certificate on its own": {have: object, begun: true},
	} {
		o := pivKeyOptions{at: piv.Authentication, overwrite: test.overwrite}
		if err := o.vacant(test.have, test.begun); (err == nil) != test.vacant || err != nil && !errors.As(err, new(*piv.OccupiedError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
