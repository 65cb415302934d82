package main

import (
	"slices"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
)

// TestNewest: two chains, one after the other as the store gives them, merged by time; equal times stay in their order.
func TestNewest(t *testing.T) {
	t.Parallel()
	var all []audit.Event
	for _, chain := range []string{"a", "b"} {
		for i := range 10 {
			all = append(all, audit.Event{Chain: chain, Seq: int64(i), At: time.Unix(int64(i/2), 0)})
		}
	}
	for _, tc := range []struct {
		last int
		want []string
	}{
		{5, []string{"b7", "a8", "a9", "b8", "b9"}},
		{1, []string{"b9"}},
	} {
		var got []string
		for _, e := range newest(slices.Clone(all), tc.last) {
			got = append(got, e.Chain+string(rune('0'+e.Seq)))
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%d: %v, want %v", tc.last, got, tc.want)
		}
	}
	if got := newest(slices.Clone(all), 0); len(got) != 20 || got[19].Seq != 9 {
		t.Errorf("all: %d", len(got))
	}
}
