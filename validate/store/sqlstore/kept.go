package sqlstore

import (
	"sync"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// maxKept bounds how many credentials are kept in memory, and how many clients. A credential takes about half a kilobyte.
const maxKept = 1 << 16

// kept are credentials and clients as they were read at one generation of the store, see validate.Keeper. The zero value is empty. It is
// safe for concurrent use.
type kept struct {
	mu          sync.RWMutex
	at          validate.Generation
	credentials map[token.PublicID]validate.Credential
	clients     map[int64]validate.Client
}

// turn drops what was read before generation g, and reports whether g is not itself over.
func (k *kept) turn(g validate.Generation) bool {
	if g > k.at {
		k.at = g
		k.credentials, k.clients = map[token.PublicID]validate.Credential{}, map[int64]validate.Client{}
	}
	return g == k.at && g > 0
}

// seen tells what generation the store has. It is lower than before where the database lost changes.
func (k *kept) seen(g validate.Generation) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if g < k.at {
		k.at = 0
	}
	k.turn(g)
}

func (k *kept) putCredential(g validate.Generation, c validate.Credential) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.turn(g) {
		makeRoom(k.credentials)
		k.credentials[c.PublicID] = c
	}
}

func (k *kept) putClient(g validate.Generation, c validate.Client) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.turn(g) {
		makeRoom(k.clients)
		k.clients[c.ID] = c
	}
}

// makeRoom drops any one of too many.
func makeRoom[K comparable, V any](m map[K]V) {
	for id := range m {
		if len(m) < maxKept {
			return
		}
		delete(m, id)
	}
}

// accepted raises the counters of a credential to those that this process wrote. Another may have written higher ones, of which nothing
// is known here until the guarded statement refuses.
func (k *kept) accepted(a validate.Advance) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ok := k.credentials[a.Event.PublicID]
	n := &c.Row.Counters
	if !ok || c.ID != a.Credential || a.Use < n.Use || a.Use == n.Use && a.Session <= n.Session {
		return
	}
	n.Use, n.Session, n.Timestamp, n.Nonce, n.At = a.Use, a.Session, a.Timestamp, a.Nonce, a.At
	if !a.Proven {
		c.Row.State, c.Row.Token = proven(c.Row.State), proven(c.Row.Token)
	}
	k.credentials[a.Event.PublicID] = c
}

// proven is what the first acceptance makes of a state.
func proven(s token.State) token.State {
	if s == token.Programmed {
		return token.Active
	}
	return s
}

// drop forgets a credential that is not as it was kept.
func (k *kept) drop(id token.PublicID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.credentials, id)
}

var _ validate.Keeper = (*Store)(nil)

// KeptCredential implements validate.Keeper.
func (s *Store) KeptCredential(id token.PublicID) (validate.Credential, validate.Generation) {
	s.kept.mu.RLock()
	defer s.kept.mu.RUnlock()
	c, ok := s.kept.credentials[id]
	if !ok || !s.advancer.guards() {
		return c, 0
	}
	return c, s.kept.at
}

// KeptClient implements validate.Keeper.
func (s *Store) KeptClient(id int64) (validate.Client, validate.Generation) {
	s.kept.mu.RLock()
	defer s.kept.mu.RUnlock()
	c, ok := s.kept.clients[id]
	if !ok || !s.advancer.guards() || !c.Until.IsZero() && !s.now().Before(c.Until) {
		return validate.Client{}, 0
	}
	return c, s.kept.at
}
