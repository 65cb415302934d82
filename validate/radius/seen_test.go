package radius

import (
	"testing"
	"time"

	rad "layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

// TestSameAuthenticator: a device that draws its authenticators badly gets an answer to each of its requests, not to one of before.
func TestSameAuthenticator(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		right := gate.request(t, "ada", rightCode)
		w.ask("ada", gate, right, rad.CodeAccessAccept)
		_, p := mustParse(t, right)
		p.Attributes = append(rad.Attributes{{Type: rfc2865.UserName_Type, Attribute: rad.Attribute("eve")}}, p.Attributes[2:]...)
		w.ask("eve", gate, gate.sealed(t, p), rad.CodeAccessReject)
		if len(w.asked) != 2 {
			t.Errorf("%d decisions", len(w.asked))
		}
	})
}

// TestSeenOutOfOrder: of two requests that come at once by two connections, the later may be noted first. Neither is forgotten for that.
func TestSeenOutOfOrder(t *testing.T) {
	t.Parallel()
	var s seen
	start := time.Now()
	first, second := asked{identifier: 1}, asked{identifier: 2}
	s.begin(second, start.Add(time.Millisecond))
	s.begin(first, start)
	for _, key := range []asked{first, second} {
		if _, isNew := s.begin(key, start.Add(time.Second)); isNew {
			t.Errorf("request %d was forgotten", key.identifier)
		}
	}
	if _, isNew := s.begin(first, start.Add(-keepSeen)); !isNew || len(s.all) != 1 {
		t.Error("a clock that went back keeps requests longer")
	}
}
