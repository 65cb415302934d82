package sqlstore

import (
	"slices"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// testKeyGone: a key that is generated in a slot ends the certificates of the one before, and no others. Its holder is told once.
func testKeyGone(t *testing.T, s *Store) {
	ctx := t.Context()
	old, other := storetest.SomeCertificate("9a", "a", "1"), storetest.SomeCertificate("9c", "b", "1")
	old.NotAfter = s.now().Add(time.Hour)
	_, err := s.AddPersons(ctx, []token.Person{{Account: "ada"}})
	must(t, err)
	ada, err := s.Person(ctx, "ada")
	must(t, err)
	must(t, s.HandOverPIV(ctx, token.PIVHandover{Serial: 7, Holder: ada.ID}))
	must(t, s.KeepCertificate(ctx, old))
	must(t, s.KeepCertificate(ctx, other))
	for _, e := range []PIVEvent{{Slot: "9a", PublicKey: old.PublicKey}, {Slot: "9d", PublicKey: "x"}} { // an interrupted run notes its own again
		must(t, s.NotePIVKey(ctx, 7, e))
	}
	for gone, step := range []func() error{
		func() error { return nil },
		func() error { return s.NotePIVKey(ctx, 7, PIVEvent{Slot: "9a", PublicKey: "y"}) },
	} {
		must(t, step())
		list, err := s.Certificates(ctx, 7)
		must(t, err)
		if len(list) != 2 || list[0].Gone.IsZero() == (gone == 1) || !list[1].Gone.IsZero() {
			t.Errorf("step %d: %+v", gone, list)
		}
	}
	told, err := s.Notices(ctx, false)
	if err != nil || len(told) != 1 || told[0].To.ID != ada.ID || told[0].Kind != desk.NoticeErased || !slices.Equal(told[0].Facts.Certificates, []string{"9a"}) {
		t.Errorf("told %+v, %v", told, err)
	}
}
