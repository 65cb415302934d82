package batch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// flash is how long a key stores a configuration, and latch the gap that it needs between two parts of a frame: ykslot's pauses are in
// real time here. Source: reference provisioning.md §8 (a write takes less than 600 ms), yubikey-otp.md §1.5 (0.4 ms).
const (
	flash = 60 * time.Millisecond
	latch = 400 * time.Microsecond
)

// BenchmarkBatch is the wall time of a key, from plugging in to pulling out, with a person who takes no time: its floor is flash,
// the transfers and their gaps.
func BenchmarkBatch(b *testing.B) {
	for _, tc := range []struct {
		lanes int
		touch string
	}{{1, "none"}, {10, "none"}, {1, "all"}, {10, "all"}} {
		b.Run(fmt.Sprintf("lanes=%d/touch=%s", tc.lanes, tc.touch), func(b *testing.B) {
			r := newRoom(b)
			r.pause, r.lanes, r.ports = nil, tc.lanes, tc.lanes
			r.begin(b.N, tc.touch)
			for n := range b.N {
				r.box = append(r.box, vkey.New(vkey.YubiKey543, vkey.Options{Serial: uint32(n + 1), Pace: vkey.Pace{Time: flash}, Latch: latch}))
			}
			b.ResetTimer()
			if _, err := r.run(); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			gets, sets := r.hub.Transfers()
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/key")
			b.ReportMetric(float64(gets)/float64(b.N), "gets/key")
			b.ReportMetric(float64(sets)/float64(b.N), "sets/key")
		})
	}
}
