package main

import (
	"maps"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestOneOfFourServers: 64 clients of each of 4 server processes submit the same fresh OTP at once, by turns with nonces of
// their own and with one nonce. One of them is answered OK, all others that it is replayed, and none that something failed.
func TestOneOfFourServers(t *testing.T) {
	t.Parallel()
	const processes, clients, rounds = 4, 64, 10
	r := newRig(t, 2)
	r.must("init")
	r.must("provision", "--slot", "2")
	a := newAsker(t, r.client("mail"))
	var servers []*server
	for range processes {
		servers = append(servers, r.serve("--limit", "0"))
	}
	winners := make([]int, processes)
	start := time.Now()
	for round := range rounds {
		nonce, replayed := func() string { return a.nonce() }, "REPLAYED_OTP"
		if round%2 == 1 {
			same := a.nonce()
			nonce, replayed = func() string { return same }, "REPLAYED_REQUEST"
		}
		got := volley(t, a, servers, clients, r.typed(2), nonce, winners)
		if want := map[string]int{"OK": 1, replayed: processes*clients - 1}; !maps.Equal(got, want) {
			t.Errorf("round %d: %v, want %v", round, got, want)
		}
	}
	t.Logf("%d rounds of %d requests in %v, %d repeated; the one OK came from %v",
		rounds, processes*clients, time.Since(start).Round(time.Millisecond), a.again.Load(), winners)
	a.hangUp()
	for _, s := range servers {
		if log, code := s.stop(t, syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d\n%s", code, log)
		}
	}
	r.must("audit", "verify")
}

// volley lets a number of clients of each server submit an OTP at once, and counts the statuses. winners counts, by server,
// who said OK.
func volley(t *testing.T, a *asker, servers []*server, clients int, otp string, nonce func() string, winners []int) map[string]int {
	t.Helper()
	count := map[string]int{}
	var mu sync.Mutex
	var ready, done sync.WaitGroup
	fire := make(chan struct{})
	for i, s := range servers {
		for range clients {
			ready.Add(1)
			done.Go(func() {
				n := nonce()
				ready.Done()
				<-fire
				status, err := a.status(t.Context(), s, otp, n)
				if err != nil {
					t.Errorf("server %d: %v", i, err)
				}
				mu.Lock()
				defer mu.Unlock()
				count[status]++
				if status == "OK" {
					winners[i]++
				}
			})
		}
	}
	ready.Wait()
	close(fire)
	done.Wait()
	return count
}
