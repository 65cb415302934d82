package sqlstore

import (
	"slices"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// testOpenEscrows: what was not settled is named once, by key and kind.
func testOpenEscrows(t *testing.T, s *Store) {
	pin := secret.Copy([]byte("734182"))
	var last token.EscrowID
	for _, serial := range []token.Serial{8, 7, 7, 9} {
		var err error
		last, err = s.KeepEscrow(t.Context(), serial, token.PIVPIN, pin)
		must(t, err)
	}
	_, err := s.KeepEscrow(t.Context(), 7, token.PIVPUK, pin)
	must(t, err)
	must(t, s.SettleEscrow(t.Context(), 9, token.PIVPIN, last))
	got, err := s.OpenEscrows(t.Context())
	if want := []OpenEscrow{{7, token.PIVPIN}, {7, token.PIVPUK}, {8, token.PIVPIN}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}
