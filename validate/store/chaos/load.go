package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
)

// Load is many clients that ask servers about the OTPs of a few keys: fresh ones, kept back ones, one at several servers at once, old ones, and
// the same request again where no answer came. What they do follows from Seed; how it falls in time does not.
type Load struct {
	Keys, Clients, Servers int
	Seed                   uint64
	Wild                   int // how many of a hundred OTPs are not fresh ones that are sent at once
	// Ask submits the OTP of a key with this order, and reads the answer. It is called from many goroutines. Requests that never left are
	// asked elsewhere, or not at all: sent is false.
	Ask func(ctx context.Context, op Op) (answer Answer, sent bool)
	// Next is the order of the next press of a key, above last, from the key's own sequence of presses. One goroutine per key calls it
	// at a time. nil: a YubiKey that is sometimes plugged in anew.
	Next func(key int, last int64, r *rand.Rand) int64

	keys []*presses
}

// presses are what a key has typed so far.
type presses struct {
	mu     sync.Mutex
	last   int64
	recent []int64 // the last ones, newest last
	drawer []int64 // typed and not sent
}

// keep is how many presses of a key are remembered.
const keep = 12

// Begin makes the keys, which have typed all up to first. It is called once, before everything else.
func (l *Load) Begin(first int64) {
	for range l.Keys {
		l.keys = append(l.keys, &presses{last: first})
	}
	if l.Next == nil {
		l.Next = plugged
	}
}

// plugged is the next press of a YubiKey: the SessionCounter, or after another power-up the UseCounter.
func plugged(_ int, last int64, r *rand.Rand) int64 {
	if r.IntN(50) == 0 {
		return (last>>8 + 1) << 8
	}
	return last + 1
}

// Press is a fresh OTP of a key.
func (l *Load) Press(key int, r *rand.Rand) int64 {
	k := l.keys[key]
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = l.Next(key, k.last, r)
	if k.recent = append(k.recent, k.last); len(k.recent) > keep {
		k.recent = k.recent[1:]
	}
	return k.last
}

// put keeps an OTP for later.
func (l *Load) put(key int, order int64) {
	k := l.keys[key]
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.drawer = append(k.drawer, order); len(k.drawer) > keep {
		k.drawer = k.drawer[1:]
	}
}

// Old is an OTP of a key that was typed lately; -1: there is none.
func (l *Load) Old(key int, r *rand.Rand) int64 { return l.old(key, false, r) }

// old is an OTP that was typed before: from the drawer, or any of the last ones. -1: there is none.
func (l *Load) old(key int, drawer bool, r *rand.Rand) int64 {
	k := l.keys[key]
	k.mu.Lock()
	defer k.mu.Unlock()
	if drawer && len(k.drawer) > 0 {
		n := r.IntN(len(k.drawer))
		order := k.drawer[n]
		k.drawer = append(k.drawer[:n], k.drawer[n+1:]...)
		return order
	}
	if len(k.recent) == 0 {
		return -1
	}
	return k.recent[r.IntN(len(k.recent))]
}

// Run lets the clients ask until ctx ends, or each has asked about most OTPs; 0: any number.
func (l *Load) Run(ctx context.Context, h *History, most int) {
	var clients sync.WaitGroup
	for n := range l.Clients {
		clients.Go(func() {
			c := client{Load: l, history: h, random: rand.New(rand.NewPCG(l.Seed, uint64(n))), name: n}
			for i := 0; ctx.Err() == nil && (most == 0 || i < most); i++ {
				c.act(ctx)
			}
		})
	}
	clients.Wait()
}

// client is one relying server's thread.
type client struct {
	*Load
	history *History
	random  *rand.Rand
	name    int
	nonces  int
	last    Op // that it asked
}

func (c *client) nonce() string {
	c.nonces++
	return fmt.Sprintf("c%03dn%012d", c.name, c.nonces)
}

// act does one thing.
func (c *client) act(ctx context.Context) {
	op := Op{Verb: Ask, Key: c.random.IntN(c.Keys), Nonce: c.nonce()}
	if c.random.IntN(100) >= c.Wild {
		op.Order = c.Press(op.Key, c.random)
		c.ask(ctx, op)
		return
	}
	switch c.random.IntN(5) {
	case 0: // pressed, and held back
		c.put(op.Key, c.Press(op.Key, c.random))
	case 1: // comes late, after newer ones
		if op.Order = c.old(op.Key, true, c.random); op.Order >= 0 {
			c.ask(ctx, op)
		}
	case 2: // once more, by somebody who overheard it
		if op.Order = c.old(op.Key, false, c.random); op.Order >= 0 {
			c.ask(ctx, op)
		}
	case 3: // the client's own retry
		if c.last.Nonce != "" {
			c.ask(ctx, c.last)
		}
	case 4: // everywhere at once
		op.Order = c.Press(op.Key, c.random)
		c.volley(ctx, op)
	}
}

// ask submits an OTP to any server, and where no answer comes, most times the same request to others.
func (c *client) ask(ctx context.Context, op Op) {
	for range 3 {
		op.Server = c.random.IntN(c.Servers)
		c.last = op
		if c.once(ctx, op) != Unknown || c.random.IntN(5) == 0 {
			return
		}
	}
}

// volley submits one OTP to several servers at once, with one nonce or with several.
func (c *client) volley(ctx context.Context, op Op) {
	var all sync.WaitGroup
	same := c.random.IntN(2) == 0
	for range 2 + c.random.IntN(2) {
		one := op
		if one.Server = c.random.IntN(c.Servers); !same {
			one.Nonce = c.nonce()
		}
		all.Go(func() { c.once(ctx, one) })
	}
	all.Wait()
	c.last = op
}

// once asks and writes down what came of it, unless the request never left.
func (c *client) once(ctx context.Context, op Op) Answer {
	return c.history.Run(op, func() (Answer, bool) { return c.Ask(ctx, op) })
}
