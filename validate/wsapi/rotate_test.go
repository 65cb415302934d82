package wsapi_test

import (
	"net/url"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/wsapi"
)

const newKey = "abcdefghij9876543210"

// rotating is a site whose client 1 has newKey and, for a while, clientKey.
func rotating(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	s.change(t, func(c *validate.Client) {
		c.Keys = []secret.Bytes{secret.New([]byte(newKey)), secret.New([]byte(clientKey))}
	})
	return s
}

// change changes client 1.
func (s *site) change(t *testing.T, f func(*validate.Client)) {
	t.Helper()
	c, err := s.store.Client(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	f(&c)
	if err := s.store.SetClient(c); err != nil {
		t.Fatal(err)
	}
}

// signedBy adds the h of a key to an escaped query; "" adds none.
func signedBy(t *testing.T, key, query string) string {
	t.Helper()
	if key == "" {
		return query
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	params := make(map[string]string)
	for name := range values {
		params[name] = values.Get(name)
	}
	return query + "&h=" + url.QueryEscape(wsapi.Sign(secret.New([]byte(key)), params))
}

// TestTwoKeys: both are right, and the answer is signed with the key of the request, whatever its status; without one, or with a
// wrong one, with the former.
func TestTwoKeys(t *testing.T) {
	t.Parallel()
	otp := "&otp=" + press(t, 5, 0)
	for _, tc := range []struct {
		name, key, query, want, answer string
	}{
		{"former", clientKey, "id=1&nonce=" + nonce + otp, yes, clientKey},
		{"new", newKey, "id=1&nonce=" + nonce + otp, yes, newKey},
		{"unsigned", "", "id=1&nonce=" + nonce + otp, yes, clientKey},
		{"neither", "0123456789ABCDEFGHIJ", "id=1&nonce=" + nonce + otp, badSig, clientKey},
		{"new, a short nonce", newKey, "id=1&nonce=short" + otp, missing, newKey},
		{"former, no OTP", clientKey, "id=1&nonce=" + nonce + "&otp=x", bad, clientKey},
		{"new, another OTP", newKey, "id=1&nonce=" + nonce + "&otp=" + flip(press(t, 5, 0)), bad, newKey},
	} {
		s := rotating(t)
		got := get(t, serve(t, s.handler)+signedBy(t, tc.key, tc.query))
		if got.value["status"] != tc.want || !got.signedWith(tc.answer) {
			t.Errorf("%s: %s, signed with the former %v, with the new %v", tc.name, got.value["status"], got.signedWith(clientKey), got.signedWith(newKey))
		}
	}
}

// TestRotationEnds: when the former key is over, it is a wrong one, and unsigned requests are answered with the new; a client that
// must sign may do so with both before.
func TestRotationEnds(t *testing.T) {
	t.Parallel()
	s := rotating(t)
	s.change(t, func(c *validate.Client) { c.MustSig = true })
	base := serve(t, s.handler)
	ask := func(use uint16, key, want, answer string) {
		t.Helper()
		got := get(t, base+signedBy(t, key, "id=1&nonce="+nonce+"&otp="+press(t, use, 0)))
		if got.value["status"] != want || !got.signedWith(answer) {
			t.Errorf("(%d, 0): %s, want %s", use, got.value["status"], want)
		}
	}
	ask(1, clientKey, yes, clientKey)
	ask(2, newKey, yes, newKey)
	ask(3, "", badSig, clientKey)
	s.change(t, func(c *validate.Client) { c.Keys = c.Keys[:1] })
	ask(3, clientKey, badSig, newKey)
	ask(3, "", badSig, newKey)
	ask(3, newKey, yes, newKey) // nothing was spent in between
	s.change(t, func(c *validate.Client) { c.MustSig = false })
	ask(4, "", yes, newKey)
	s.change(t, func(c *validate.Client) { c.Active, c.Keys = false, nil })
	ask(5, newKey, noClient, "")
	ask(5, "", noClient, "")
}

// TestNotAllowedTellsNothing: a client that may ask about some groups is answered the same about others, about tokens that nobody
// holds, blocked ones and unknown public IDs, and spends nothing by asking.
func TestNotAllowedTellsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.change(t, func(c *validate.Client) { c.Groups = []string{"staff"} })
	base := serve(t, s.handler)
	ask := func(otp string) reply { return get(t, base+"id=1&nonce="+nonce+"&otp="+otp) }
	same := func(name, otp string) {
		t.Helper()
		r := ask(otp)
		if r.value["status"] != refused || len(r.names) != 5 || r.value["otp"] != otp {
			t.Errorf("%s: %v", name, r.value)
		}
	}
	otp := press(t, 5, 0)
	same("nobody's", otp)
	same("unknown", "cccccccccccc"+otp[12:])
	same("without public ID", otp[12:])
	same("Dvorak", dvorak(otp))
	if err := s.store.SetGroups(s.id, "guests"); err != nil {
		t.Fatal(err)
	}
	same("another group's", otp)
	same("another group's, changed", flip(otp))
	block(s)
	same("another group's, blocked", press(t, 6, 0))
	if err := s.store.Change(s.id, token.Restore); err != nil {
		t.Fatal(err)
	}
	if err := s.store.SetGroups(s.id, "guests", "staff"); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{flip(otp): bad, otp: yes} {
		if got := ask(query).value["status"]; got != want {
			t.Errorf("one of its own: %s, want %s", got, want)
		}
	}
	if got := ask(dvorak(press(t, 7, 0))).value["status"]; got != yes {
		t.Errorf("one of its own, Dvorak: %s", got)
	}
}
