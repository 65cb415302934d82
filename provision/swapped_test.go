package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// TestSwapTouchedWrong: a long touch instead of a short one types what would tell the opposite. Both slots are asked, so it is noticed, and
// they are asked again; what stays unclear is not settled.
func TestSwapTouchedWrong(t *testing.T) {
	t.Parallel()
	bare := want(nil)
	bare.AccessCode = NoCode
	for name, second := range map[string]struct {
		spec    Spec
		foreign token.Slot // that the store does not know; 0: none
	}{
		"both ours": {bare, 0}, "slot 2 foreign": {bare, 2}, "slot 1 foreign": {bare, 1},
	} {
		for sent := range 2 {
			for _, wrong := range [][]bool{nil, {true}, {false, true}, {true, false, false, true}} {
				t.Run(fmt.Sprintf("%s, sent %d, wrong %v", name, sent, wrong), func(t *testing.T) {
					t.Parallel()
					b := prepared(t, second.spec)
					delete(b.book.live, second.foreign)
					b.swapBegun(sent == 1)
					b.wrong = wrong
					done, err := b.resumeChanges()
					if err != nil || done != (sent == 1) || len(wrong) > 0 && !slices.Contains(b.mispress, SameSlot) {
						t.Errorf("done %v, %v, %q", done, err, b.mispress)
					}
					if second.foreign == 0 {
						b.agreeAll(name)
					}
				})
			}
		}
	}
}

// swapBegun records a swap, and carries it out where sent says so.
func (b *bench) swapBegun(sent bool) (c token.SlotChange) {
	b.t.Helper()
	err := b.with(func(k Key) (err error) {
		if c, err = BuildSwap(b.have(k)); err != nil {
			return err
		}
		if c, err = b.book.BeginChange(b.t.Context(), c); err == nil && sent {
			err = k.Swap(b.t.Context())
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// TestSwapBesideChallenges: a foreign slot that answers challenges types nothing when it is touched, and tells by them where it is.
func TestSwapBesideChallenges(t *testing.T) {
	t.Parallel()
	hmac := of(token.ChallengeResponse, Options{})
	hmac.AccessCode = NoCode
	for sent := range 2 {
		b := prepared(t, hmac)
		delete(b.book.live, 2)
		b.swapBegun(sent == 1)
		done, err := b.resumeChanges()
		if err != nil || done != (sent == 1) || slices.Contains(b.steps, StepTouch1) {
			t.Errorf("sent %d: done %v, %v, steps %v", sent, done, err, b.steps)
		}
	}
}

// TestSwapUnknowable: of two slots of which nothing is known nobody says that they are as before.
func TestSwapUnknowable(t *testing.T) {
	t.Parallel()
	bare := want(nil)
	bare.AccessCode = NoCode
	b := prepared(t, bare)
	clear(b.book.live)
	if c := b.swapBegun(true); !Unknowable(c) {
		t.Errorf("%+v can be told", c)
	}
	if done, err := b.resumeChanges(); done || err != nil || len(b.book.openChanges()) != 0 {
		t.Errorf("done %v, %v, %d open", done, err, len(b.book.openChanges()))
	}
}

// heard is a device whose presses are lines that somebody typed.
type heard struct {
	SlotDevice
	lines *[]string
}

func (heard) SecondHand()                     {}
func (heard) DropTyped(context.Context) error { return nil }

func (h heard) Press(context.Context, int) (string, error) {
	line := (*h.lines)[0]
	*h.lines = (*h.lines)[1:]
	return line, nil
}

// TestTouchedSecondHand: what somebody typed, and none of ours types, does not say that the slots were swapped; nor does an empty line say
// anything.
func TestTouchedSecondHand(t *testing.T) {
	t.Parallel()
	r := &Runner{Now: time.Now}
	c := &token.Credential{ID: 7, Kind: token.Static, Slot: 1, Settings: token.Settings{TicketFlags: uint8(ykslot.AppendCR), ConfigFlags: uint8(ykslot.ShortTicket)},
		Secrets: token.Secrets{Key: secret.Copy([]byte{4, 5, 6})}}
	for name, tc := range map[string]struct {
		both    bool // are ours
		lines   []string
		swapped bool
		err     error
	}{
		"nobody's":          {false, []string{"x", "y", "x", "y", "x", "y"}, false, ErrUnknownSlots},
		"ours twice":        {false, []string{"abc", "abc", "abc", "abc", "abc", "abc"}, false, ErrUnknownSlots},
		"ours by the short": {false, []string{"abc", "", "y"}, false, nil},
		"ours by the long":  {false, []string{"", "x", "abc"}, true, nil},
		"one of nobody":     {true, []string{"x", "abc", "abc", "def"}, false, nil},
		"the second time":   {false, []string{"abc", "abc", "x", "abc"}, true, nil},
	} {
		var other *token.Credential
		if tc.both {
			other = &token.Credential{ID: 8, Kind: token.Static, Slot: 2, Settings: c.Settings, Secrets: token.Secrets{Key: secret.Copy([]byte{7, 8, 9})}}
		}
		swapped, err := r.touched(t.Context(), heard{lines: &tc.lines}, c, other)
		if swapped != tc.swapped || !errors.Is(err, tc.err) {
			t.Errorf("%s: %v, %v", name, swapped, err)
		}
	}
}
