package desk

import (
	"reflect"
	"testing"

	"github.com/tokendesk/tokendesk/provision/token"
)

// TestByIDMeansOneToken: neither a label nor a serial of the same number is found by it.
func TestByIDMeansOneToken(t *testing.T) {
	t.Parallel()
	if m := ParseQuery(ByID(17)); !reflect.DeepEqual(m, Match{ID: 17}) {
		t.Errorf("%+v", m)
	}
	for _, text := range []string{"token", "token 0", "token -1", "token x", "17"} {
		if m := ParseQuery(text); m.ID != 0 || m.Text != text {
			t.Errorf("%q became %+v", text, m)
		}
	}
	if got := Name(token.Token{ID: 17}); got != ByID(17) {
		t.Errorf("a token without serial is called %q", got)
	}
}
