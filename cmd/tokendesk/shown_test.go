package main

import (
	"reflect"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
)

// TestShownTypesHoldNoSecret walks the types that are printed: none of them can reach a secret. newClient, newOperator, newTempCode,
// newRecoveryCode and newLink are not among them: they are hand-over outputs.
func TestShownTypesHoldNoSecret(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		versionInfo{}, accountRow{}, oathCode{}, passwordRow{}, settingRow{}, genuineRule{}, pivPlanned{}, pivTold{}, attestedKey{}, surveyed{}, described{}, arrival{}, finding{}, written{}, provenKey{}, trustedRoot{}, unlocker{}, token.Attestation{}, token.AttestationRule{}, unsettled{}, personRow{}, shownPerson{}, clientRow{}, operatorRow{}, rightRow{}, codeRow{}, browserRow{}, noticeRow{}, linkRow{}, tokenRow{}, journalRow{}, stationRow{}, receiptRow{},
		credentialRow{}, shownToken{}, addedToken{}, enrolment{}, targetRow{}, pushedRow{}, statusRow{}, formatRow{}, fault{}, importRow{}, checked{}, audit.Event{}, audit.Head{}, explained{},
	} {
		if reaches(reflect.TypeOf(v), map[reflect.Type]bool{}) {
			t.Errorf("%T can hold a secret", v)
		}
	}
	if !reaches(reflect.TypeFor[*token.Entry](), map[reflect.Type]bool{}) {
		t.Error("the walk does not find the secret of a ledger entry")
	}
}

// reaches reports whether a value of the type can hold a secret. seen ends recursion.
func reaches(t reflect.Type, seen map[reflect.Type]bool) bool {
	if t == reflect.TypeFor[secret.Bytes]() {
		return true
	}
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return reaches(t.Elem(), seen)
	case reflect.Map:
		return reaches(t.Key(), seen) || reaches(t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if reaches(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

// TestShowNearEnd: token show says that a key stops soon. Source: reference validation-protocol.md §14.
func TestShowNearEnd(t *testing.T) {
	t.Parallel()
	for use, want := range map[int]string{0x6FFF: "28671/3", 0x7000: "28672/3: almost used up, replace it"} {
		r := credentialOf(token.Credential{Counters: token.Counters{Use: use, Session: 3, Moving: -1}})
		if got := countersText(r); got != want || r.NearEnd != (use == 0x7000) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
