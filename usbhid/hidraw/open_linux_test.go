package hidraw

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/usbhid/usbfs"
)

// TestOpenRefuses has cases that need no device; the others are in hwtest.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	node := filepath.Join(t.TempDir(), "002")
	if err := os.WriteFile(node, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// Bus 250 does not exist, so that a key of the host's is never meant.
	key := usbhid.Attached{Path: "250-1", OTP: true, USBNode: node, HIDRaw: node}
	if _, err := Open(t.Context(), key); !errors.Is(err, usbhid.ErrGone) {
		t.Errorf("not in sysfs: got %v, want ErrGone", err)
	}
	lock, err := usbfs.Acquire(key)
	if err != nil {
		t.Fatalf("a failed Open must give the lock back: %v", err)
	}
	defer lock.Close()
	if _, err := Open(t.Context(), key); !errors.Is(err, usbhid.ErrBusy) {
		t.Errorf("locked: got %v, want ErrBusy", err)
	}
	key.OTP = false
	if _, err := Open(t.Context(), key); err == nil || errors.Is(err, usbhid.ErrBusy) {
		t.Errorf("OTP off: got %v, want a refusal before the lock", err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(done, key); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}
