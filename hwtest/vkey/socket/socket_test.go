package socket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/usbhid"
)

// fresh serves a fresh key on a port of the system's choice.
func fresh(t *testing.T, p vkey.Profile) (*vkey.Key, string) {
	t.Helper()
	k := vkey.New(p, vkey.Options{Serial: 7654321})
	return k, listen(t, func(ctx context.Context, l net.Listener) error { return Serve(ctx, l, k) })
}

func listen(t *testing.T, serve func(context.Context, net.Listener) error) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String()
}

func dial(t *testing.T, addr string) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestSession: reports, typing and errors pass through; the key is held until Close.
func TestSession(t *testing.T) {
	t.Parallel()
	k, addr := fresh(t, vkey.YubiKey543)
	c := dial(t, addr)
	if c.PID != 0x0407 || c.Serial != 7654321 || c.Version != vkey.YubiKey543.Version {
		t.Errorf("hello %04x %d %v", c.PID, c.Serial, c.Version)
	}
	ctx := t.Context()
	// F12 of reference yubikey-otp.md §3.10, in slot 2: types "Hello World!".
	for _, r := range []usbhid.Report{
		{0x8b, 0x08, 0x0f, 0x0f, 0x12, 0x2c, 0x9a, 0x80}, {0x12, 0x15, 0x0f, 0x07, 0x9e, 0, 0, 0x81},
		{0, 0, 0x10, 0x34, 0x20, 0x02, 0, 0x86}, {0, 0xdd, 0xdf, 0, 0, 0, 0, 0x87}, {0, 0x03, 0x95, 0x56, 0, 0, 0, 0x89},
	} {
		if err := c.SetFeature(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := c.GetFeature(ctx); err != nil || r != (usbhid.Report{0, 5, 4, 3, 1, 0x0a, 5, 0}) {
		t.Errorf("status %x, %v", r, err)
	}
	k.Touch(2)
	var typed []usbhid.Report
	for range 2 * len("Hello World!\n") {
		r, err := c.ReadInput(ctx)
		if err != nil {
			t.Fatal(err)
		}
		typed = append(typed, r)
	}
	if got := vkey.Text(typed); got != "Hello World!\n" {
		t.Errorf("typed %q", got)
	}
	k.SetFaults(vkey.Faults{StallReport: 1})
	if _, err := c.GetFeature(ctx); !errors.Is(err, vkey.ErrStall) {
		t.Errorf("stalled report: %v", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.ReadInput(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("ReadInput after cancel: %v", err)
	}
	if err := c.SetFeature(cancelled, usbhid.Report{}); !errors.Is(err, context.Canceled) {
		t.Errorf("SetFeature after cancel: %v", err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Errorf("Close twice: %v", err)
		}
	}
	if _, err := c.GetFeature(ctx); !errors.Is(err, errClosed) {
		t.Errorf("GetFeature after Close: %v", err)
	}
	dial(t, addr)
}

// TestHeld: a client that stays is not waited for without end, and who holds the key otherwise not at all.
func TestHeld(t *testing.T) {
	t.Parallel()
	k := vkey.New(vkey.YubiKey543, vkey.Options{})
	addr := listen(t, func(ctx context.Context, l net.Listener) error { return serve(ctx, l, k, 50*time.Millisecond) })
	c := dial(t, addr)
	if _, err := Dial(t.Context(), "tcp", addr); !errors.Is(err, usbhid.ErrBusy) {
		t.Errorf("second Dial: %v", err)
	}
	other := listen(t, func(ctx context.Context, l net.Listener) error { return Serve(ctx, l, k) })
	if _, err := Dial(t.Context(), "tcp", other); !errors.Is(err, usbhid.ErrBusy) {
		t.Errorf("held elsewhere: %v", err)
	}
	c.Close()
	for end := time.Now().Add(time.Minute); ; {
		if c, err := Dial(t.Context(), "tcp", other); err == nil {
			c.Close()
			return
		} else if !errors.Is(err, usbhid.ErrBusy) || time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// TestUnplug: every call fails with ErrGone, also one that waits; a plugged key can be dialled again.
func TestUnplug(t *testing.T) {
	t.Parallel()
	k, addr := fresh(t, vkey.YubiKey543)
	c := dial(t, addr)
	waiting := make(chan error, 1)
	go func() {
		_, err := c.ReadInput(t.Context())
		waiting <- err
	}()
	k.Unplug()
	if err := <-waiting; !errors.Is(err, usbhid.ErrGone) {
		t.Errorf("ReadInput: %v", err)
	}
	if _, err := c.GetFeature(t.Context()); !errors.Is(err, usbhid.ErrGone) {
		t.Errorf("GetFeature: %v", err)
	}
	if _, err := Dial(t.Context(), "tcp", addr); !errors.Is(err, usbhid.ErrGone) {
		t.Errorf("Dial while unplugged: %v", err)
	}
	k.Plug()
	dial(t, addr)
}

// TestUnplugAfter: the report that the fault counts to is still answered, each time.
func TestUnplugAfter(t *testing.T) {
	t.Parallel()
	k, addr := fresh(t, vkey.YubiKey543)
	for range 100 {
		c := dial(t, addr)
		k.SetFaults(vkey.Faults{UnplugAfter: 2})
		for range 2 {
			if _, err := c.GetFeature(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.GetFeature(t.Context()); !errors.Is(err, usbhid.ErrGone) {
			t.Fatalf("third report: %v", err)
		}
		k.Plug()
	}
}

// TestNoOTP: a FIDO-only key cannot be dialled.
func TestNoOTP(t *testing.T) {
	t.Parallel()
	_, addr := fresh(t, vkey.YubiKey543.WithPID(0x0402))
	if _, err := Dial(t.Context(), "tcp", addr); !errors.Is(err, vkey.ErrNoOTP) {
		t.Errorf("Dial: %v", err)
	}
}

// TestKilledHolder: a client killed with SIGKILL leaves the key alive and free.
func TestKilledHolder(t *testing.T) {
	t.Parallel()
	k, addr := fresh(t, vkey.YubiKey543)
	for range 3 {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self, "-test.run=^TestHolder$")
		cmd.Env = append(os.Environ(), "VKEY_SOCKET="+addr)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Open(); !errors.Is(err, usbhid.ErrBusy) {
			t.Errorf("the child does not hold the key: %v", err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		c := dial(t, addr) // before the dead child is waited for
		c.Close()
		_ = cmd.Wait() // it was killed
	}
}

// TestHolder is the child of TestKilledHolder: it takes the key and waits to be killed.
func TestHolder(t *testing.T) {
	addr := os.Getenv("VKEY_SOCKET")
	if addr == "" {
		t.Skip("a child of TestKilledHolder")
	}
	c := dial(t, addr)
	os.Stdout.WriteString("taken")
	_, err := c.ReadInput(context.Background())
	t.Error(err)
}

// FuzzMessage: what is read is written back as the same bytes; anything else is an error.
func FuzzMessage(f *testing.F) {
	f.Add([]byte{1, 'G'})
	f.Add([]byte{9, 'S', 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte{0})
	f.Add([]byte{64, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readMessage(bytes.NewReader(b))
		if err != nil {
			if m.kind != 0 || m.body != nil {
				t.Error("a message beside an error")
			}
			return
		}
		var out bytes.Buffer
		if err := writeMessage(&out, m.kind, m.body...); err != nil || !bytes.HasPrefix(b, out.Bytes()) {
			t.Errorf("%x is written back as %x, %v", b, out.Bytes(), err)
		}
	})
}
