package usbfs

import (
	"errors"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"github.com/tokendesk/tokendesk/usbhid"
)

// keyTree is a sysfs tree with one key at 1-1, whose interface 0 has the given driver line.
func keyTree(address, driver string) fstest.MapFS {
	tree := fstest.MapFS{}
	for name, value := range map[string]string{
		"1-1/idVendor": "1050", "1-1/idProduct": "0407", "1-1/busnum": "1", "1-1/devnum": address, "1-1/bConfigurationValue": "1",
		"1-1:1.0/bInterfaceClass": "03", "1-1:1.0/bInterfaceSubClass": "01", "1-1:1.0/bInterfaceProtocol": "01",
		"1-1:1.0/uevent": driver,
	} {
		tree["bus/usb/devices/"+name] = &fstest.MapFile{Data: []byte(value + "\n")}
	}
	return tree
}

func TestVanished(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		now  fstest.MapFS
		want string // the driver that should hold the interface
		err  error
	}{
		{"in its place", keyTree("2", "DRIVER=usbhid"), "usbhid", nil},
		{"pulled", fstest.MapFS{}, "usbhid", usbhid.ErrGone},
		{"pulled and plugged in again", keyTree("3", "DRIVER=usbhid"), "usbhid", usbhid.ErrGone},
		{"claimed by a program", keyTree("2", "DRIVER=usbfs"), "usbhid", usbhid.ErrBusy},
		{"detached by a program", keyTree("2", ""), "usbhid", usbhid.ErrBusy},
		{"any driver will do", keyTree("2", ""), "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				key := usbhid.Attached{Path: "1-1", Address: 2}
				if err := Vanished(test.now, key, test.want); !errors.Is(err, test.err) {
					t.Errorf("got %v, want %v", err, test.err)
				}
			})
		})
	}
}

func TestReattachLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	for _, driver := range []string{"DRIVER=usbhid", "DRIVER=usbfs"} {
		if got, err := Reattach(keyTree("2", driver)); len(got) != 0 || err != nil {
			t.Errorf("%s: got %v, %v, want nothing done", driver, got, err)
		}
	}
	if _, err := Reattach(fstest.MapFS{}); !errors.Is(err, usbhid.ErrNoUSB) {
		t.Errorf("got %v, want ErrNoUSB", err)
	}
}
