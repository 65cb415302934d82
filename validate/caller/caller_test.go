package caller

import (
	"net/netip"
	"testing"
	"time"
)

func TestSourceAndKey(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		remote, source, key string
		local               bool
	}{
		{"192.0.2.1:80", "192.0.2.1", "192.0.2.1", false},
		{"[::ffff:192.0.2.1]:80", "192.0.2.1", "192.0.2.1", false},
		{"[2001:db8:1:2:3:4:5:6]:80", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", false},
		{"[fe80::1%eth0]:1", "fe80::1%eth0", "fe80::/64", false},
		{"127.0.0.9:1", "127.0.0.9", "loopback", true},
		{"[::1]:1", "::1", "loopback", true},
		{"@", Local, "loopback", true},
		{"", Local, "loopback", true},
		{"host.example:1", "host.example", "host.example", false},
	} {
		source := Source(tc.remote)
		key, local := Key(source)
		if source != tc.source || key != tc.key || local != tc.local {
			t.Errorf("%s: %s, %s, %v", tc.remote, source, key, local)
		}
	}
}

// TestWrongs: so many a minute from one address, ten times as many from this machine, and so many addresses at most are told apart.
func TestWrongs(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	w := Wrongs{Local: 10}
	for source, most := range map[string]int{"192.0.2.1": WrongMost, "127.0.0.1": WrongMost * 10} {
		for i := range most + 2 {
			if w.TooMany(source, now) != (i >= most) {
				t.Errorf("%s: number %d", source, i+1)
			}
		}
		if w.TooMany(source, now.Add(WrongEvery)) {
			t.Errorf("%s: the next minute begins with nothing", source)
		}
	}
	for i := range 3 * wrongSources {
		w.TooMany(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String(), now)
	}
	if len(w.sources) > wrongSources+1 || !w.TooMany("203.0.113.9", now) {
		t.Errorf("%d addresses are told apart", len(w.sources))
	}
}
