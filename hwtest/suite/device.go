package suite

import (
	"context"
	"errors"
	"time"

	"github.com/tokendesk/tokendesk/provision/pcsc"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

func testExclusive(r *rig) {
	r.open()
	if r.card != nil {
		if second, err := r.OpenCard(r.ctx); !errors.Is(err, usbhid.ErrBusy) {
			if err == nil {
				_ = second.Close()
			}
			r.Errorf("second card: got %v, want ErrBusy", err)
		}
	}
	if second, err := r.Open(r.ctx); !errors.Is(err, usbhid.ErrBusy) {
		if err == nil {
			_ = second.Close()
		}
		r.Errorf("second open: got %v, want ErrBusy", err)
	}
	r.close()
	r.open()
}

func testCloseTwice(r *rig) {
	r.open()
	r.close()
	if r.card != nil {
		if err := r.card.Close(); err != nil {
			r.Errorf("second close of the card: %v", err)
		}
		if _, err := r.card.Transmit(r.ctx, []byte{0, 3, 0, 0}); err == nil {
			r.Error("a closed card still answers")
		}
	}
	if err := r.dev.Close(); err != nil {
		r.Errorf("second close: %v", err)
	}
	if _, err := r.dev.GetFeature(r.ctx); err == nil {
		r.Error("a closed device still answers")
	}
}

func testKeyboard(r *rig) {
	if r.Keyboard == nil {
		r.Skip("this target cannot see the system's keyboard driver")
	}
	for range 2 {
		r.open()
		r.close()
		back, err := r.Keyboard(r.ctx)
		r.must(err)
		if !back {
			r.Error("the keyboard driver does not hold the interface after Close")
		}
	}
}

// cancelling cancels a context right before the n-th report or command, counted from 1.
type cancelling struct {
	ykslot.FeatureReporter
	card   Card
	left   int
	cancel context.CancelFunc
}

func (c *cancelling) count() {
	if c.left--; c.left == 0 {
		c.cancel()
	}
}

// GetFeature counts and passes on.
func (c *cancelling) GetFeature(ctx context.Context) (ykslot.Report, error) {
	c.count()
	return c.FeatureReporter.GetFeature(ctx)
}

// SetFeature counts and passes on.
func (c *cancelling) SetFeature(ctx context.Context, r ykslot.Report) error {
	c.count()
	return c.FeatureReporter.SetFeature(ctx, r)
}

// Transmit counts and passes on.
func (c *cancelling) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	c.count()
	return c.card.Transmit(ctx, command)
}

// session is a new one on what the case holds.
func (c *cancelling) session(ctx context.Context) (*ykslot.Session, error) {
	if c.card != nil {
		return ykslot.OpenCard(ctx, c)
	}
	return ykslot.Open(ctx, c, nil)
}

// testCancel cancels one write before every one of its reports or commands in turn. Each time the error is the context's, the key is
// usable at once, and unless the outcome was said to be unknown, nothing was written.
func testCancel(r *rig) {
	r.open()
	const most = 60 // a write takes about 18 reports
	for n := 1; n < most; n++ {
		ctx, cancel := context.WithCancel(r.ctx)
		dev := &cancelling{FeatureReporter: r.dev, card: r.card}
		s, err := dev.session(r.ctx)
		r.must(err)
		before := s.Status()
		dev.left, dev.cancel = n, cancel
		err = s.Write(ctx, ykslot.Slot1, r.config(s, r.draw(), none()), none())
		cancel()
		if err == nil {
			r.Logf("a write takes %d reports", n-1)
			return
		}
		if !errors.Is(err, context.Canceled) {
			r.Fatalf("cancelled before report %d: got %v, want the context's error", n, err)
		}
		after, statusErr := s.ReadStatus(r.ctx)
		r.must(statusErr)
		written := after.ProgSeq != before.ProgSeq
		if written && !errors.Is(err, ykslot.ErrUnsettled) {
			r.Errorf("cancelled before report %d: written, but the error is %v", n, err)
		}
	}
	r.Errorf("a write took more than %d reports", most)
}

func testCancelInput(r *rig) {
	s := r.open()
	ctx, cancel := context.WithTimeout(r.ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := r.dev.ReadInput(ctx); !errors.Is(err, context.DeadlineExceeded) {
		r.Errorf("got %v, want the context's error", err)
	}
	_, err := s.ReadStatus(r.ctx)
	r.must(err)
	r.proves(ykslot.Slot1, r.program(s, ykslot.Slot1, none()))
}

// unplug pulls the key out until the case plugs it in or ends. It skips the case where the target cannot be unplugged.
func (r *rig) unplug() {
	r.Helper()
	if r.Unplug == nil || r.Plug == nil {
		r.Skip("this target cannot be unplugged")
	}
	r.out = true
	r.Cleanup(func() {
		if r.out {
			r.plug()
		}
	})
	r.must(r.Unplug(r.ctx))
}

// plug puts the key back, also after the case's own time is up.
func (r *rig) plug() {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), r.Patience)
	defer cancel()
	r.out, r.lost = false, 0
	if err := r.Plug(ctx); err != nil {
		r.Fatalf("plug: %v", err)
	}
}

func testUnplug(r *rig) {
	s := r.open()
	r.unplug()
	if _, err := s.ReadStatus(r.ctx); !gone(err) {
		r.Errorf("read status: got %v, want ErrGone", err)
	}
	if err := s.Write(r.ctx, ykslot.Slot1, r.config(s, r.draw(), none()), none()); !gone(err) {
		r.Errorf("write: got %v, want ErrGone", err)
	}
	if _, err := r.dev.ReadInput(r.ctx); !errors.Is(err, usbhid.ErrGone) {
		r.Errorf("read input: got %v, want ErrGone", err)
	}
	r.close()
}

// gone reports whether an error says that the key was pulled out: a reader that stays behind says that it has no card.
func gone(err error) bool { return errors.Is(err, usbhid.ErrGone) || errors.Is(err, pcsc.ErrNoCard) }

func testUnplugInput(r *rig) {
	r.open()
	got := make(chan error, 1)
	go func() {
		_, err := r.dev.ReadInput(r.ctx)
		got <- err
	}()
	r.unplug()
	if err := <-got; !errors.Is(err, usbhid.ErrGone) {
		r.Errorf("got %v, want ErrGone", err)
	}
	r.close()
}

// testReplug: a new power-up counts as a new use, and the programming sequence starts at 1 (reference yubikey-otp.md
// §1.6, §4.1).
func testReplug(r *rig) {
	s := r.open()
	c := r.program(s, ykslot.Slot1, none())
	r.program(s, ykslot.Slot1, none())
	r.must(s.Write(r.ctx, ykslot.Slot1, r.config(s, c, none()), none()))
	first := r.proves(ykslot.Slot1, c)
	r.close()
	r.unplug()
	r.plug()
	s = r.open()
	if st := s.Status(); st.ProgSeq != 1 {
		r.Errorf("programming sequence %d after plugging in, want 1", st.ProgSeq)
	}
	second := r.proves(ykslot.Slot1, c)
	if second.UseCounter != first.UseCounter+1 || second.SessionCounter != r.lost {
		r.Errorf("before %v, after %v, want the next use and session 0", first, second)
	}
}
