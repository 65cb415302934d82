package oathaccount_test

import (
	"context"
	"testing"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/oathaccount"
	"github.com/tokendesk/tokendesk/provision/oathapplet"
	"github.com/tokendesk/tokendesk/provision/token"
)

// listed is a card that only tells what it has.
type listed struct {
	oathaccount.Card
	ids []string
}

func (l listed) List(context.Context) (out []oathapplet.Account, err error) {
	for _, id := range l.ids {
		out = append(out, oathapplet.ParseID(id, token.TOTP))
	}
	return out, nil
}

// settledAs is how a change ended.
type settledAs struct {
	provision.Changes
	how string
}

func (s *settledAs) EndChange(context.Context, token.ChangeID) error {
	s.how = "done"
	return nil
}

func (s *settledAs) DropChange(context.Context, token.ChangeID, string) error {
	s.how = "dropped"
	return nil
}

// TestResumeReset: an interrupted reset is told as done only if the key does not have what was there before.
func TestResumeReset(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		on, ours []string
		locked   bool
		want     string
	}{
		{nil, nil, false, "done"}, {nil, []string{"a"}, false, "done"}, {[]string{"x"}, []string{"a"}, false, "done"}, // put since
		{[]string{"a"}, []string{"a"}, false, "dropped"}, {[]string{"x"}, nil, false, "dropped"}, {nil, nil, true, "dropped"},
	} {
		var book settledAs
		done, err := (&oathaccount.Runner{}).ResumeChange(t.Context(), &book, listed{ids: tc.on}, token.SlotChange{Work: token.ResetOATH}, tc.ours, tc.locked)
		if err != nil || book.how != tc.want || done != (tc.want == "done") {
			t.Errorf("on the key %v, ours %v, locked %t: %s, %t, %v; want %s", tc.on, tc.ours, tc.locked, book.how, done, err, tc.want)
		}
	}
}
