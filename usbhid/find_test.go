package usbhid

import (
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

// sysKey writes one device into a sysfs tree as the kernel lays it out; attributes override or, when empty, remove.
func sysKey(tree fstest.MapFS, path string, attributes map[string]string) {
	all := map[string]string{
		"idVendor": "1050", "idProduct": "0407", "busnum": "1", "devnum": "2", "bcdDevice": "0543",
		"product": "YubiKey OTP+FIDO+CCID", "bConfigurationValue": "1", "uevent": "DEVTYPE=usb_device\nDRIVER=usb",
		":1.0/bInterfaceClass": "03", ":1.0/bInterfaceSubClass": "01", ":1.0/bInterfaceProtocol": "01",
		":1.0/uevent": "DEVTYPE=usb_interface\nDRIVER=usbhid\nPRODUCT=1050/407/543\nINTERFACE=3/1/1",
		":1.0/0003:1050:0407.0001/hidraw/hidraw3/uevent":        "DEVNAME=hidraw3",
		":1.0/0003:1050:0407.0001/input/input7/event5/uevent":   "DEVNAME=input/event5",
		":1.0/0003:1050:0407.0001/input/input7/capabilities/ev": "120013",
		":1.1/bInterfaceClass":                                  "03",
		":1.1/0003:1050:0407.0002/hidraw/hidraw4/uevent":        "DEVNAME=hidraw4",
	}
	for name, value := range attributes {
		all[name] = value
	}
	for name, value := range all {
		if value == "" {
			continue
		}
		dir := "bus/usb/devices/" + path + "/"
		if strings.HasPrefix(name, ":") {
			dir = strings.TrimSuffix(dir, "/")
		}
		tree[dir+name] = &fstest.MapFile{Data: []byte(value + "\n")}
	}
}

// unbound takes the keyboard driver and its nodes from sysKey's interface 0.
func unbound(extra map[string]string) map[string]string {
	m := map[string]string{
		":1.0/uevent": "DEVTYPE=usb_interface\nINTERFACE=3/1/1",
		":1.0/0003:1050:0407.0001/hidraw/hidraw3/uevent":        "",
		":1.0/0003:1050:0407.0001/input/input7/event5/uevent":   "",
		":1.0/0003:1050:0407.0001/input/input7/capabilities/ev": "",
	}
	for k, v := range extra {
		m[k] = v
	}
	return m
}

// composite is what sysKey's default looks like at path 1-1.
func composite(change func(*Attached)) Attached {
	a := Attached{
		Path: "1-1", Model: Model{0x0407, FamilyYubiKey, OTP | FIDO | CCID}, Product: "YubiKey OTP+FIDO+CCID",
		Firmware: "5.4.3", OTP: true, Driver: "usbhid", Bus: 1, Address: 2, USBNode: "/dev/bus/usb/001/002",
		HIDRaw: "/dev/hidraw3", Input: []string{"/dev/input/event5"},
	}
	if change != nil {
		change(&a)
	}
	return a
}

func withoutKeyboard(a *Attached) { a.OTP, a.Driver, a.HIDRaw, a.Input = false, "", "", nil }

func TestFind(t *testing.T) {
	t.Parallel()
	type attributes = map[string]string
	for _, test := range []struct {
		name string
		keys map[string]attributes
		want []Attached
	}{
		{"one composite key", map[string]attributes{"1-1": nil}, []Attached{composite(nil)}},
		{"serial shown, odd characters", map[string]attributes{"1-1": {"serial": "0007654321", "product": "Yubi\x1b[31mKey\x00 \xff"}},
			[]Attached{composite(func(a *Attached) { a.SerialUSB, a.Product = "0007654321", "Yubi[31mKey" })}},
		{"behind hubs, in order of ports", map[string]attributes{
			"1-10": {"devnum": "9"}, "1-2": {"devnum": "8"}, "1-1.2.4": {"devnum": "127"}, "12-1": {"busnum": "12"}, "2-1": {"busnum": "2"},
		}, []Attached{
			composite(func(a *Attached) { a.Path, a.Address, a.USBNode = "1-1.2.4", 127, "/dev/bus/usb/001/127" }),
			composite(func(a *Attached) { a.Path, a.Address, a.USBNode = "1-2", 8, "/dev/bus/usb/001/008" }),
			composite(func(a *Attached) { a.Path, a.Address, a.USBNode = "1-10", 9, "/dev/bus/usb/001/009" }),
			composite(func(a *Attached) { a.Path, a.Bus, a.USBNode = "2-1", 2, "/dev/bus/usb/002/002" }),
			composite(func(a *Attached) { a.Path, a.Bus, a.USBNode = "12-1", 12, "/dev/bus/usb/012/002" }),
		}},
		{"FIDO only", map[string]attributes{"1-1": {"idProduct": "0402", ":1.0/bInterfaceSubClass": "00", ":1.0/bInterfaceProtocol": "00"}},
			[]Attached{composite(func(a *Attached) { a.Model = Model{0x0402, FamilyYubiKey, FIDO}; withoutKeyboard(a) })}},
		{"OTP product ID, interface 0 is not a keyboard", map[string]attributes{"1-1": {":1.0/bInterfaceProtocol": "00"}},
			[]Attached{composite(withoutKeyboard)}},
		{"keyboard, but the product ID is not known", map[string]attributes{"1-1": {"idProduct": "0030"}},
			[]Attached{composite(func(a *Attached) { a.Model = Model{ProductID: 0x0030}; withoutKeyboard(a) })}},
		{"no driver after kill -9", map[string]attributes{"1-1": unbound(nil)},
			[]Attached{composite(func(a *Attached) { a.Driver, a.HIDRaw, a.Input = "", "", nil })}},
		{"claimed by a program", map[string]attributes{"1-1": unbound(attributes{":1.0/uevent": "DEVTYPE=usb_interface\nDRIVER=usbfs"})},
			[]Attached{composite(func(a *Attached) { a.Driver, a.HIDRaw, a.Input = "usbfs", "", nil })}},
		{"not configured", map[string]attributes{"1-1": {"bConfigurationValue": ""}}, []Attached{composite(withoutKeyboard)}},
		{"bcdDevice is not BCD", map[string]attributes{"1-1": {"bcdDevice": "05a3"}}, []Attached{composite(func(a *Attached) { a.Firmware = "" })}},
		{"two-digit major", map[string]attributes{"1-1": {"bcdDevice": "1020"}}, []Attached{composite(func(a *Attached) { a.Firmware = "10.2.0" })}},
		{"half gone: no device number", map[string]attributes{"1-1": {"devnum": ""}}, nil},
		{"half gone: no product ID", map[string]attributes{"1-1": {"idProduct": ""}, "1-2": {"devnum": "3"}},
			[]Attached{composite(func(a *Attached) { a.Path, a.Address, a.USBNode = "1-2", 3, "/dev/bus/usb/001/003" })}},
		{"malformed vendor", map[string]attributes{"1-1": {"idVendor": "11050"}}, nil},
		{"another vendor", map[string]attributes{"1-1": {"idVendor": "046d"}}, nil},
		{"root hub by name", map[string]attributes{"usb1": nil}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tree := fstest.MapFS{}
			for path, a := range test.keys {
				sysKey(tree, path, a)
			}
			got, err := Find(tree)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

// TestFindFollowsLinks: on a real system the entries of bus/usb/devices are symbolic links into devices/.
func TestFindFollowsLinks(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{}
	sysKey(tree, "1-1", nil)
	linked := fstest.MapFS{}
	for name, file := range tree {
		linked[strings.Replace(name, "bus/usb/devices/", "devices/pci0/usb1/", 1)] = file
	}
	for _, entry := range []string{"1-1", "1-1:1.0", "1-1:1.1", "1-3"} {
		linked["bus/usb/devices/"+entry] = &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte("../../../devices/pci0/usb1/" + entry)}
	}
	got, err := Find(linked)
	if want := []Attached{composite(nil)}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

func TestFindWithoutUSB(t *testing.T) {
	t.Parallel()
	if got, err := Find(fstest.MapFS{}); got != nil || !errors.Is(err, ErrNoUSB) {
		t.Errorf("got %v, %v, want ErrNoUSB", got, err)
	}
	empty := fstest.MapFS{"bus/usb/devices": &fstest.MapFile{Mode: fs.ModeDir}}
	if got, err := Find(empty); got != nil || err != nil {
		t.Errorf("no device: got %v, %v, want neither", got, err)
	}
}

func TestStatRefusesOtherPaths(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{}
	sysKey(tree, "1-1", nil)
	for _, path := range []string{"", "1-2", "1-1:1.0", "usb1", "../1-1", "1-1/../1-1", "1-*", "1-", "-1"} {
		if _, err := Stat(tree, path); !errors.Is(err, ErrGone) {
			t.Errorf("Stat(%q) = %v, want ErrGone", path, err)
		}
	}
}

// FuzzFind: whatever the attribute files hold, a device is listed at most once, and nothing in it can leave /dev or
// disturb a terminal.
func FuzzFind(f *testing.F) {
	f.Add("1050", "0407", "1", "2", "0543", "YubiKey OTP+FIDO+CCID", "1", "DRIVER=usbhid")
	f.Add("1050", "0120", "001", "-2", "05a3", "\x1b]0;x\a\xff", "../..", "DRIVER=\nDRIVER=usbfs")
	f.Add("", "ffff1", "65536", "0", "", "", "0", "")
	f.Fuzz(func(t *testing.T, vendor, product, bus, address, bcd, name, cfg, uevent string) {
		tree := fstest.MapFS{}
		sysKey(tree, "1-1", map[string]string{
			"idVendor": vendor, "idProduct": product, "busnum": bus, "devnum": address, "bcdDevice": bcd,
			"product": name, "serial": name, "bConfigurationValue": cfg, ":1.0/uevent": uevent,
		})
		got, err := Find(tree)
		if err != nil || len(got) > 1 {
			t.Fatalf("Find = %v, %v", got, err)
		}
		for _, a := range got {
			if strings.Contains(a.USBNode+a.HIDRaw, "..") || !strings.HasPrefix(a.USBNode, "/dev/bus/usb/") {
				t.Errorf("nodes %q, %q", a.USBNode, a.HIDRaw)
			}
			for _, text := range []string{a.Product, a.SerialUSB, a.Driver, a.Firmware} {
				if strings.ContainsAny(text, "\x00\x07\x1b\n\r") {
					t.Errorf("control character in %q", text)
				}
			}
			if again, err := Stat(tree, a.Path); err != nil || !reflect.DeepEqual(again, a) {
				t.Errorf("Stat = %+v, %v, Find = %+v", again, err, a)
			}
		}
	})
}
