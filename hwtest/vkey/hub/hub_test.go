package hub

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/usbhid"
)

func key(serial uint32) *vkey.Key { return vkey.New(vkey.YubiKey543, vkey.Options{Serial: serial}) }

// TestHub: ports are exclusive and in their order, a handle is of one plugging in, transfers are counted beyond it.
func TestHub(t *testing.T) {
	t.Parallel()
	h := New()
	defer h.Close()
	one, ten := key(1), key(10)
	if h.Plug("1-1.10", ten) != nil || h.Plug("1-1.9", one) != nil {
		t.Fatal("not plugged in")
	}
	if err := h.Plug("1-1.9", key(3)); !errors.Is(err, ErrTaken) {
		t.Errorf("a second key: %v", err)
	}
	if got := fmt.Sprint(h.Ports()); got != "[1-1.9 1-1.10]" {
		t.Errorf("ports %s", got)
	}
	list, _ := h.Find()
	dev, err := h.Open(t.Context(), list[0])
	if err != nil || h.Key("1-1.9") != one {
		t.Fatal(err)
	}
	if _, err := h.Open(t.Context(), list[0]); !errors.Is(err, usbhid.ErrBusy) {
		t.Errorf("opened twice: %v", err)
	}
	if _, err := dev.GetFeature(t.Context()); err != nil {
		t.Error(err)
	}
	if h.Unplug("1-1.9") != one || h.Unplug("1-1.9") != nil || h.Touch("1-1.9", 1) {
		t.Error("pulled out once")
	}
	if _, err := dev.GetFeature(t.Context()); !errors.Is(err, usbhid.ErrGone) {
		t.Errorf("a handle of before: %v", err)
	}
	if gets, sets := h.Transfers(); gets != 1 || sets != 0 {
		t.Errorf("transfers %d %d", gets, sets)
	}
	if err := h.Plug("1-1.9", one); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Open(t.Context(), list[0]); !errors.Is(err, usbhid.ErrGone) {
		t.Errorf("another plugging in: %v", err)
	}
}

// TestWatch: what is there, what comes, what goes, also by a fault, and the next in the same port.
func TestWatch(t *testing.T) {
	t.Parallel()
	h := New()
	defer h.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	must(h.Plug("1-2", key(2)))
	steps := []struct {
		then func()
		want string
	}{
		{func() { must(h.Plug("1-1", key(1))) }, "+1-2"},
		{func() { h.Unplug("1-2") }, "+1-1"},
		{func() {
			h.Key("1-1").SetFaults(vkey.Faults{UnplugAfter: 1})
			_, err := h.Key("1-1").Get()
			must(err)
		}, "-1-2"},
		{func() { must(h.Plug("1-1", key(3))); h.Unplug("1-1"); must(h.Plug("1-1", key(4))) }, "-1-1"},
		{cancel, "+1-1"},
	}
	n := 0
	for e, err := range h.Watch(ctx, nil) {
		must(err)
		got := "-" + e.Key.Path
		if e.Arrived {
			got = "+" + e.Key.Path
		}
		if n == len(steps) || got != steps[n].want {
			t.Fatalf("event %d: %s", n, got)
		}
		steps[n].then()
		n++
	}
	if n != len(steps) {
		t.Errorf("%d events", n)
	}
}
