package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokendesk/tokendesk/provision/token"
)

// together runs f(0) to f(n-1) at once and counts the trues.
func together(t *testing.T, n int, f func(i int) (bool, error)) int {
	t.Helper()
	var (
		wg    sync.WaitGroup
		yes   atomic.Int32
		start = make(chan struct{})
	)
	for i := range n {
		wg.Go(func() {
			<-start
			ok, err := f(i)
			if err != nil {
				t.Errorf("caller %d: %v", i, err)
			}
			if ok {
				yes.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(yes.Load())
}

func testOneOf64(t *testing.T, s suite) {
	c := Sample(1, token.Active)
	id := s.Add(t, c)
	for use := range 5 {
		got := together(t, 64, func(i int) (bool, error) {
			store := s.a
			if i%2 == 1 {
				store = s.b
			}
			return store.Accept(t.Context(), advance(id, c, use, 0, fmt.Sprint("nonce", i)))
		})
		if got != 1 {
			t.Errorf("OTP %d was accepted %d times", use, got)
		}
	}
}

// testNeverBackwards presents 64 OTPs in any order: whatever was accepted was newer than everything accepted before it.
func testNeverBackwards(t *testing.T, s suite) {
	c := Sample(1, token.Active)
	id := s.Add(t, c)
	got := together(t, 64, func(i int) (bool, error) {
		use := i * 37 % 64
		ok, err := s.a.Accept(t.Context(), advance(id, c, use, 0, "n"))
		if err != nil || !ok {
			return ok, err
		}
		for older := range use + 1 {
			if again, err := s.b.Accept(t.Context(), advance(id, c, older, 0, "m")); again || err != nil {
				return ok, fmt.Errorf("OTP %d after %d: accepted %v, %v", older, use, again, err)
			}
		}
		return ok, nil
	})
	if got == 0 {
		t.Error("none was accepted")
	}
	s.stored(t, c, 63, 0, "n")
}

// testBlockRace blocks while 32 callers send ever newer OTPs: none is accepted that began after the block was acknowledged.
func testBlockRace(t *testing.T, s suite) {
	c := Sample(1, token.Active)
	id := s.Add(t, c)
	var next atomic.Int32
	var blocked atomic.Bool
	together(t, 33, func(i int) (bool, error) {
		if i == 0 {
			s.Block(t, id)
			blocked.Store(true)
			return false, nil
		}
		for range 10 {
			after := blocked.Load()
			ok, err := s.b.Accept(t.Context(), advance(id, c, int(next.Add(1)), 0, "n"))
			if err != nil {
				return false, err
			}
			if ok && after {
				return false, errors.New("accepted after the block")
			}
		}
		return false, nil
	})
	s.accept(t, advance(id, c, 0x7FFF, 0, "n"), false)
}
