package sqlstore

import (
	"testing"

	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// testKeyGone: a key that is generated in a slot ends the certificates of the one before, and no others.
func testKeyGone(t *testing.T, s *Store) {
	ctx := t.Context()
	old, other := storetest.SomeCertificate("9a", "a", "1"), storetest.SomeCertificate("9c", "b", "1")
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
}
