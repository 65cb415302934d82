//go:build cgo && !nolibusb

package libusb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/gousb"

	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/usbhid/usbfs"
)

func TestCause(t *testing.T) {
	t.Parallel()
	// Bus 250 does not exist: sysfs says that this key is gone.
	d := &Device{key: usbhid.Attached{Path: "250-1", USBNode: "/dev/bus/usb/250/001"}}
	for _, test := range []struct {
		name string
		err  error
		want error // nil: no sentinel
	}{
		{"typed access", gousb.ErrorAccess, usbhid.ErrPermission},
		{"cut by gousb's Config", fmt.Errorf("Can't detach kernel driver of the device x and interface 0: %v", gousb.ErrorAccess), usbhid.ErrPermission},
		{"cut by gousb's Interface", fmt.Errorf("failed to claim interface 0 on x: %v", gousb.ErrorBusy), usbhid.ErrBusy},
		{"control timeout of a pulled key", gousb.ErrorTimeout, usbhid.ErrGone},
		{"no device", gousb.ErrorNoDevice, usbhid.ErrGone},
		{"i/o error of a pulled key", gousb.ErrorIO, usbhid.ErrGone},
		{"transfer to a pulled key", gousb.TransferNoDevice, usbhid.ErrGone},
		{"transfer failed, key pulled", gousb.TransferError, usbhid.ErrGone},
		{"transfer to a pulled key timed out", gousb.TransferTimedOut, usbhid.ErrGone},
		{"ours", usbhid.ErrGone, usbhid.ErrGone},
		{"stall", gousb.ErrorPipe, nil},
		{"stalled endpoint", gousb.TransferStall, nil},
		{"text without a code", errors.New("endpoint not found"), nil},
		{"text with a broken code", errors.New("x [code -3"), nil},
	} {
		got := d.cause("op", test.err)
		for _, sentinel := range []error{usbhid.ErrPermission, usbhid.ErrGone, usbhid.ErrBusy, usbhid.ErrTimeout} {
			if errors.Is(got, sentinel) != (sentinel == test.want) {
				t.Errorf("%s: got %v, want %v", test.name, got, test.want)
			}
		}
	}
}

func TestTrim(t *testing.T) {
	t.Parallel()
	all := []gousb.InterfaceDesc{{Number: 0}, {Number: 1}, {Number: 2}}
	desc := &gousb.DeviceDesc{Configs: map[int]gousb.ConfigDesc{1: {Number: 1, MaxPower: 30, Interfaces: all}}}
	trim(desc)
	want := map[int]gousb.ConfigDesc{1: {Number: 1, MaxPower: 30, Interfaces: []gousb.InterfaceDesc{{Number: 0}}}}
	if !reflect.DeepEqual(desc.Configs, want) {
		t.Errorf("got %+v, want %+v", desc.Configs, want)
	}
	if len(all) != 3 || all[1].Number != 1 {
		t.Error("the descriptor's own slice was changed")
	}
}

// TestOpenRefuses has cases that need no device; the others are in hwtest.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	node := filepath.Join(t.TempDir(), "002")
	if err := os.WriteFile(node, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	key := usbhid.Attached{Path: "250-1", Bus: 250, Address: 1, OTP: true, USBNode: node}
	if _, err := Open(t.Context(), key); err == nil || errors.Is(err, usbhid.ErrBusy) {
		t.Errorf("no such device: got %v", err) // without USB on the host libusb does not even start
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
}
