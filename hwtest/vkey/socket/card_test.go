package socket

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/usbhid"
)

// serveCardFor serves a key's card on a port of the system's choice.
func serveCardFor(t *testing.T, k *vkey.Key) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- ServeCard(ctx, l, k) }()
	t.Cleanup(func() {
		k.Unplug()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ServeCard: %v", err)
		}
	})
	return l.Addr().String()
}

const (
	selectOATH = "00a4040007a0000005272101"
	listOATH   = "00a10000"
)

func transmit(t *testing.T, c *Card, command string) string {
	t.Helper()
	b, err := hex.DecodeString(command)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Transmit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(got)
}

// dialFreed takes a card that another client is about to let go of.
func dialFreed(t *testing.T, address string) *Card {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		c, err := DialCard(t.Context(), "tcp", address)
		if err == nil {
			return c
		}
		if !errors.Is(err, usbhid.ErrBusy) || time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// TestCard: commands travel, one client at a time has the card, the next one finds it reset, and one that gives up a command or
// meets a key that left is told so.
func TestCard(t *testing.T) {
	t.Parallel()
	k := vkey.New(vkey.YubiKey543, vkey.Options{Serial: 7654321})
	applet := oathapplet.Install(k, oathapplet.Options{})
	address := serveCardFor(t, k)
	c, err := DialCard(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if got := transmit(t, c, selectOATH); got[:10] != "7903050403" {
		t.Errorf("SELECT: %s", got)
	}
	c.Close()
	c = dialFreed(t, address)
	if got := transmit(t, c, listOATH); got != "6d00" {
		t.Errorf("LIST after another client's SELECT: %s", got)
	}
	transmit(t, c, selectOATH)
	applet.SetFaults(oathapplet.Faults{HangBefore: 1})
	ctx, cancel := context.WithCancel(t.Context())
	hung := make(chan error, 1)
	go func() {
		_, err := c.Transmit(ctx, []byte{0, 0xa1, 0, 0})
		hung <- err
	}()
	for end := time.Now().Add(time.Minute); applet.Ran()[0xa1] == 0; runtime.Gosched() { // else the power cycle could come before the command
		if time.Now().After(end) {
			t.Fatal("the command does not come to the key")
		}
	}
	cancel()
	if err := <-hung; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	k.PowerCycle()
	c = dialFreed(t, address)
	k.Unplug()
	if _, err := c.Transmit(t.Context(), []byte{0, 0xa1, 0, 0}); !errors.Is(err, usbhid.ErrGone) {
		t.Errorf("unplugged: %v", err)
	}
	if _, err := DialCard(t.Context(), "tcp", address); !errors.Is(err, usbhid.ErrGone) {
		t.Errorf("while it is unplugged: %v", err)
	}
}

// TestCardHeld: a client that stays is not waited for without end.
func TestCardHeld(t *testing.T) {
	t.Parallel()
	k := vkey.New(vkey.YubiKey543, vkey.Options{})
	address := listen(t, func(ctx context.Context, l net.Listener) error { return serveCards(ctx, l, k, 50*time.Millisecond) })
	c, err := DialCard(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DialCard(t.Context(), "tcp", address); !errors.Is(err, usbhid.ErrBusy) {
		t.Errorf("a second client: %v", err)
	}
	c.Close()
}

// TestNoCard: a key without the interface says so.
func TestNoCard(t *testing.T) {
	t.Parallel()
	k := vkey.New(vkey.YubiKey543.Without(vkey.CCID), vkey.Options{})
	if _, err := DialCard(t.Context(), "tcp", serveCardFor(t, k)); !errors.Is(err, vkey.ErrNoCard) {
		t.Error(err)
	}
}
