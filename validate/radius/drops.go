package radius

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Drop is why a packet has no answer.
type Drop string

// The reasons. Each is counted; the log has each once in dropEvery at most, with how many there were.
const (
	DropMalformed Drop = "malformed packet"
	DropUnknown   Drop = "no device has this address"
	DropUnsigned  Drop = "no Message-Authenticator"
	DropSecret    Drop = "wrong Message-Authenticator: another shared secret"
	DropCode      Drop = "neither Access-Request nor Status-Server"
	DropClient    Drop = "the client may not ask from here"
	DropLimit     Drop = "too many requests"
	DropBusy      Drop = "too many requests under way"
	DropStore     Drop = "the store does not answer"
)

// allDrops are all of them.
func allDrops() []Drop {
	return []Drop{DropMalformed, DropUnknown, DropUnsigned, DropSecret, DropCode, DropClient, DropLimit, DropBusy, DropStore}
}

// dropEvery is how often the log says of one reason that packets were dropped.
const dropEvery = 10 * time.Second

// drops counts what was dropped. It is safe for concurrent use.
type drops struct {
	log *slog.Logger // nil: none

	mu  sync.Mutex
	all map[Drop]*dropped
}

type dropped struct {
	count, told uint64 // ever; when the log had it last
	at          time.Time
}

// add counts a packet.
func (d *drops) add(why Drop, from netip.AddrPort, now time.Time, attrs ...any) {
	d.mu.Lock()
	if d.all == nil {
		d.all = make(map[Drop]*dropped)
	}
	e := d.all[why]
	if e == nil {
		e = &dropped{}
		d.all[why] = e
	}
	e.count++
	tell := e.told == 0 || now.Sub(e.at).Abs() >= dropEvery
	packets := e.count - e.told
	if tell {
		e.told, e.at = e.count, now
	}
	d.mu.Unlock()
	if tell && d.log != nil {
		d.log.Warn("radius: dropped", append([]any{"why", string(why), "packets", packets, "source", from.Addr().Unmap().String()}, attrs...)...)
	}
}

// counts are all so far.
func (d *drops) counts() map[string]uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make(map[string]uint64)
	for _, why := range allDrops() {
		out[string(why)] = 0
	}
	for why, e := range d.all {
		out[string(why)] = e.count
	}
	return out
}
