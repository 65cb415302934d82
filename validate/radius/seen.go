package radius

import (
	"net/netip"
	"sync"
	"time"
)

// How long the answer to a request is kept, from its arrival on, and of how many requests. A device sends a request again for up to half
// a minute: RFC 5080 §2.2.2. Only requests with a right Message-Authenticator come here; 20,000 take some 10 MB.
const (
	keepSeen = 40 * time.Second
	mostSeen = 20_000
)

// asked is what makes two packets the same request: RFC 5080 §2.2.2, and the Message-Authenticator, which is of all that they say. So
// nobody gets the answer of somebody else where a device draws its authenticators badly.
type asked struct {
	from          netip.AddrPort
	code          byte
	identifier    byte
	authenticator [16]byte
	mac           [macLen]byte
}

// answer is what became of a request; the zero answer, that it is being decided. Its bytes do not change.
type answer struct{ raw []byte }

// seen remembers requests and their answers. Beyond mostSeen the oldest are forgotten. The zero value is ready; it is safe for concurrent
// use.
type seen struct {
	mu    sync.Mutex
	all   map[asked]*answer
	order []arrival // by time; those that were forgotten too
}

type arrival struct {
	key asked
	at  time.Time
	a   *answer
}

// begin notes a request, and reports whether it is new. If it is not, it returns the answer, nil while there is none.
func (s *seen) begin(key asked, now time.Time) (raw []byte, isNew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetOld(now)
	if a, ok := s.all[key]; ok {
		return a.raw, false
	}
	if s.all == nil {
		s.all = make(map[asked]*answer)
	}
	a := &answer{}
	s.all[key] = a
	s.order = append(s.order, arrival{key, now, a})
	return nil, true
}

// end keeps the answer; nil: there is none, and the same request is a new one.
func (s *seen) end(key asked, raw []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.all[key]; ok && raw != nil {
		a.raw = raw
	} else if ok {
		delete(s.all, key)
	}
}

// forgetOld drops what is over, and the oldest if there are too many. Requests that came at once by several connections may be out of
// order; a clock that went back by more than keepSeen forgets all.
func (s *seen) forgetOld(now time.Time) {
	n := 0
	for n < len(s.order) {
		if now.Sub(s.order[n].at).Abs() < keepSeen && len(s.order)-n < mostSeen {
			break
		}
		if o := s.order[n]; s.all[o.key] == o.a { // it may have been forgotten, and asked again since
			delete(s.all, o.key)
		}
		n++
	}
	s.order = s.order[n:]
}
