package main

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

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

// TestSubject: what is no name of a person is refused.
func TestSubject(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"ada": "CN=ada", " CN = Ada \\, Countess , O=Example": `CN=Ada \, Countess,O=Example`,
		" ": "", "O=Example": "", "CN=": "", "CN=a,CN=b": "", "CN=a,2.5.4.3=b": "", "CN=a,": "",
	} {
		n, err := parseSubject("--subject", text)
		if (err == nil) != (want != "") || err == nil && n.String() != want {
			t.Errorf("%q: got %v %v, want %q", text, n, err, want)
		}
	}
}

// TestNotNow: a certificate that is stored and of no use is told as such.
func TestNotNow(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	c := &x509.Certificate{NotBefore: from, NotAfter: from.AddDate(1, 0, 0)}
	for days, want := range map[int]string{-1: "2026-03-01 on", 1: "", 366: "ended on 2027-03-01"} {
		if got := notNow(c, from.AddDate(0, 0, days)); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%d days after: %q", days, got)
		}
	}
}
