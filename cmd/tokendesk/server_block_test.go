package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestBlockUnderLoad: four servers are under load of fresh OTPs of one token while another process blocks it. What is sent
// after that process has ended is never answered OK.
func TestBlockUnderLoad(t *testing.T) {
	t.Parallel()
	const processes, clients, rounds = 4, 4, 5
	r := newRig(t, 2)
	r.must("init")
	r.must("provision", "--slot", "2")
	a := newAsker(t, r.client("mail"))
	var servers []*server
	for range processes {
		servers = append(servers, r.serve("--limit", "0"))
	}
	var mu sync.Mutex
	press := func() string {
		mu.Lock()
		defer mu.Unlock()
		return r.typed(2)
	}
	for round := range rounds {
		ctx, cancel := context.WithTimeout(t.Context(), askTime)
		b := &bombardment{t: t, stop: cancel, asker: a, press: press, warm: make(chan int, processes*clients)}
		took := b.block(ctx, r, servers, clients)
		slow := ctx.Err() != nil
		cancel()
		if t.Failed() || slow || b.accepted.Load() == 0 || b.refused.Load() == 0 {
			t.Fatalf("round %d: %d accepted, %d refused, too slow: %t", round, b.accepted.Load(), b.refused.Load(), slow)
		}
		t.Logf("round %d: %d accepted before, %d refused after the block, which took %v", round, b.accepted.Load(), b.refused.Load(), took.Round(time.Millisecond))
		r.stdin = strings.NewReader(press())
		r.must("token", "restore", fmt.Sprint(rigSerial))
	}
	r.must("audit", "verify")
}

// bombardment is the load of one round.
type bombardment struct {
	t        *testing.T
	stop     context.CancelFunc // ends all clients
	asker    *asker
	press    func() string
	warm     chan int // a word from each client that has had enough answers
	blocked  atomic.Bool
	accepted atomic.Int64
	refused  atomic.Int64 // BAD_OTP, of what was sent after the block
}

// block lets a number of clients of each server fire, and blocks the token when all of them are warm. It returns how long the
// process that blocks took.
func (b *bombardment) block(ctx context.Context, r *rig, servers []*server, clients int) time.Duration {
	var work sync.WaitGroup
	defer work.Wait()
	for i, s := range servers {
		for range clients {
			work.Go(func() {
				if err := b.fire(ctx, s); err != nil && ctx.Err() == nil {
					b.t.Errorf("server %d: %v", i, err)
					b.stop()
				}
			})
		}
	}
	for range len(servers) * clients {
		select {
		case <-b.warm:
		case <-ctx.Done():
			return 0
		}
	}
	start := time.Now()
	out, err := r.program("", 0, "token", "block", fmt.Sprint(rigSerial), "--reason", "lost").CombinedOutput()
	b.blocked.Store(true)
	if err != nil {
		b.t.Errorf("block: %v\n%s", err, out)
		b.stop()
	}
	return time.Since(start)
}

// fire sends fresh OTPs until ten were sent after the block. Before it, OK is usual; REPLAYED_OTP is for an OTP that was overtaken
// by a newer one on its way.
func (b *bombardment) fire(ctx context.Context, s *server) error {
	const enough = 10
	for before, after := 0, 0; after < enough; {
		otp := b.press()
		late := b.blocked.Load()
		status, err := b.asker.status(ctx, s, otp, b.asker.nonce())
		switch {
		case err != nil:
			return err
		case status == "OK" && late:
			return errors.New("OK for an OTP that was sent after the block")
		case status == "OK":
			b.accepted.Add(1)
		case status == "BAD_OTP" && late:
			b.refused.Add(1)
		case status != "REPLAYED_OTP" && status != "BAD_OTP":
			return errors.New(status)
		}
		if late {
			after++
		} else if before++; before == enough {
			b.warm <- before
		}
	}
	return nil
}
