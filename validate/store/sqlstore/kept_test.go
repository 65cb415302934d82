package sqlstore

import (
	"fmt"
	"testing"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// TestKeptOfLostHistory: the database loses what staff changed last, as after a standby took over or a backup was put back below running
// servers, and staff change something else. What was read of the lost history counts no more.
func TestKeptOfLostHistory(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		h := open(t)
		sample := storetest.Sample(1, token.Active)
		h.Add(t, sample)
		change := func(what string) {
			t.Helper()
			if err := h.another.change(t.Context(), func(tx *tx) error { return tx.desk("probe", what, nil) }); err != nil {
				t.Fatal(err)
			}
		}
		keep := func() (validate.Credential, validate.Generation) {
			t.Helper()
			if _, err := h.s.Find(t.Context(), sample.PublicID); err != nil {
				t.Fatal(err)
			}
			return h.s.KeptCredential(sample.PublicID)
		}
		accepts := func(c validate.Credential, g validate.Generation, n int) bool {
			t.Helper()
			a := presented(c.ID, sample, n)
			a.Kept, a.Proven = g, true
			ok, err := h.s.Accept(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
		_, before := keep()
		change("lost")
		c, lost := keep()
		if before == 0 || lost <= before {
			t.Fatalf("kept of generation %d, then of %d", before, lost)
		}
		execute(t, h.s, fmt.Sprintf(`UPDATE meta SET generation = %d`, before))
		change("instead")
		if accepts(c, lost, 1) {
			t.Error("accepted on what was read of the lost history")
		}
		execute(t, h.s, fmt.Sprintf(`UPDATE meta SET generation = %d`, before)) // lower than ever seen since
		if accepts(c, lost, 2) {
			t.Error("accepted on what was read of the lost history")
		}
		if c, g := keep(); g != before || !accepts(c, g, 3) {
			t.Errorf("nothing is kept any more: generation %d, want %d", g, before)
		}
	})
}
