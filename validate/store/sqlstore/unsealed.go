package sqlstore

import (
	"sync"

	"github.com/tokendesk/tokendesk/provision/token"
)

// unsealed keeps what was made of the secrets of credentials, which change with the version only; state and counters are not
// here. It holds maxKept of them. The zero value is empty. It is safe for concurrent use.
type unsealed[V interface{ Destroy() }] struct {
	mu sync.RWMutex
	m  map[secretKey]V
}

// secretKey is one version of a credential's secrets.
type secretKey struct {
	id      token.CredentialID
	version int64
}

func (u *unsealed[V]) get(k secretKey) (V, bool) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	v, ok := u.m[k]
	return v, ok
}

// put keeps v, or destroys it and returns the one that is there.
func (u *unsealed[V]) put(k secretKey, v V) V {
	u.mu.Lock()
	defer u.mu.Unlock()
	if there, ok := u.m[k]; ok {
		v.Destroy()
		return there
	}
	if u.m == nil {
		u.m = map[secretKey]V{}
	}
	makeRoom(u.m) // what goes may be in use and is not destroyed; the garbage collector takes it
	u.m[k] = v
	return v
}

func (u *unsealed[V]) destroy() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, v := range u.m {
		v.Destroy()
	}
	u.m = nil
}
