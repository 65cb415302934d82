package vkey

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/tokendesk/tokendesk/usbhid"
)

// TestConn: exclusive, context respected, closed twice, gone after unplug.
func TestConn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	r := newRig(t, YubiKey543, Options{Serial: 1})
	c, err := r.Open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open(); !errors.Is(err, usbhid.ErrBusy) {
		t.Errorf("second Open: %v", err)
	}
	if rep, err := c.GetFeature(ctx); err != nil || rep[1] != 5 {
		t.Errorf("GetFeature: %x %v", rep, err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.GetFeature(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("GetFeature after cancel: %v", err)
	}
	if err := c.SetFeature(cancelled, usbhid.Report{}); !errors.Is(err, context.Canceled) {
		t.Errorf("SetFeature after cancel: %v", err)
	}
	if gets, sets := r.Transfers(); gets != 1 || sets != 0 {
		t.Errorf("transfers %d %d", gets, sets)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Errorf("Close twice: %v", err)
		}
	}
	if _, err := c.GetFeature(ctx); err == nil || errors.Is(err, usbhid.ErrGone) {
		t.Errorf("GetFeature after Close: %v", err)
	}
	if c, err = r.Open(); err != nil {
		t.Fatalf("Open after Close: %v", err)
	}
	r.PowerCycle()
	for name, err := range map[string]error{
		"GetFeature": second(c.GetFeature(ctx)), "SetFeature": c.SetFeature(ctx, usbhid.Report{}), "ReadInput": second(c.ReadInput(ctx)),
	} {
		if !errors.Is(err, usbhid.ErrGone) {
			t.Errorf("%s after a power cycle: %v", name, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err = r.Open(); err != nil {
		t.Fatalf("Open after a power cycle: %v", err)
	}
	r.Unplug()
	r.Unplug()
	if _, err := r.Open(); !errors.Is(err, usbhid.ErrGone) {
		t.Errorf("Open while unplugged: %v", err)
	}
	if err := r.Set(usbhid.Report{}); !errors.Is(err, usbhid.ErrGone) || r.Touch(1) {
		t.Errorf("Set while unplugged: %v", err)
	}
	r.Plug()
	select {
	case <-r.Gone():
		t.Error("gone after Plug")
	default:
	}
}

func second[T any](_ T, err error) error { return err }

// TestNoOTP: a FIDO-only key has no OTP interface.
func TestNoOTP(t *testing.T) {
	t.Parallel()
	r := newRig(t, YubiKey543.WithPID(0x0402), Options{})
	if _, err := r.Open(); !errors.Is(err, ErrNoOTP) {
		t.Errorf("Open: %v", err)
	}
	if _, err := r.Get(); !errors.Is(err, ErrNoOTP) {
		t.Errorf("Get: %v", err)
	}
}

// TestReadInput: it waits for a touch, for the context, for Close and for unplug.
func TestReadInput(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, YubiKey543, Options{})
		r.must(cmdWrite1, conf{fixed: "0b0c0000000000000000000000000000", cfg: cfgShort}.bytes(t))
		r.Touch(1) // before Open: not for the Conn
		c, err := r.Open()
		if err != nil {
			t.Fatal(err)
		}
		read := func(ctx context.Context) <-chan error {
			done := make(chan error, 1)
			go func() { done <- second(c.ReadInput(ctx)) }()
			synctest.Wait()
			return done
		}
		done := read(t.Context())
		r.Touch(1)
		if err := <-done; err != nil {
			t.Errorf("first report: %v", err)
		}
		var got []usbhid.Report
		for range 3 {
			rep, err := c.ReadInput(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, rep)
		}
		if Text(got) != "i" || r.Typed() != "hi" {
			t.Errorf("read %x", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done = read(ctx)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("after cancel: %v", err)
		}
		done = read(t.Context())
		c.Close()
		if err := <-done; !errors.Is(err, errClosed) {
			t.Errorf("after Close: %v", err)
		}
		if c, err = r.Open(); err != nil {
			t.Fatal(err)
		}
		done = read(t.Context())
		r.Unplug()
		if err := <-done; !errors.Is(err, usbhid.ErrGone) {
			t.Errorf("after Unplug: %v", err)
		}
	})
}
