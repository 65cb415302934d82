package main

import (
	"testing"

	"github.com/tokendesk/tokendesk/provision/oathapplet"
	"github.com/tokendesk/tokendesk/provision/token"
)

// TestAccountNamed: a whole name goes before a part of one, wherever it stands in the list, and nothing means nothing.
func TestAccountNamed(t *testing.T) {
	t.Parallel()
	var list []oathapplet.Account
	for _, id := range []string{"60/bob", "bobby", "bob", "Example:ada", "a\x1b[2J\u202e"} {
		list = append(list, oathapplet.ParseID(id, token.TOTP))
	}
	for query, want := range map[string]string{"bob": "bob", "60/bob": "60/bob", "bobb": "bobby", "ADA": "Example:ada", "b": "", "": "", "eve": "", "a[2J": "a\x1b[2J\u202e"} {
		got, err := accountNamed(list, query)
		if want == "" && err == nil || want != "" && (err != nil || got.ID() != want) {
			t.Errorf("%q: %q, %v", query, got.ID(), err)
		}
	}
}
