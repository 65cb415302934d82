package usbhid

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// devicesDir is the kernel's flat list of USB devices and interfaces, as symbolic links, below the sysfs root.
// Source: Linux Documentation/ABI/stable/sysfs-bus-usb.
const devicesDir = "bus/usb/devices"

// Attached is one attached device of Yubico's, as sysfs describes it at the moment of the call.
type Attached struct {
	// Path is the kernel's name by port: bus, then ports through hubs, such as "1-1.2". It stays with the port, not the key.
	Path string
	// Model is the row of the product table; of an unknown product ID only the ID is set.
	Model Model
	// Product is the product string, such as "YubiKey OTP+FIDO+CCID", without unprintable characters.
	Product string
	// SerialUSB is the serial number string; empty unless the key is set to show it (SERIAL_USB_VISIBLE).
	SerialUSB string
	// Firmware is a guess from bcdDevice, such as "5.4.3"; empty when it is not BCD. The key's own answer decides.
	Firmware string
	// OTP says that the key can be spoken to: the product ID has an OTP interface, and interface 0 is a boot keyboard.
	OTP bool
	// Driver is what holds interface 0: "usbhid" normally, "usbfs" while a program has claimed it, "" when none is
	// bound (the mark a killed program leaves).
	Driver string
	// Bus and Address are the numbers libusb knows the device by; a device plugged in again has a new address.
	Bus, Address int
	// USBNode is the usbfs node, such as "/dev/bus/usb/001/002".
	USBNode string
	// HIDRaw is the node of interface 0, such as "/dev/hidraw3"; empty while usbhid does not hold the interface.
	HIDRaw string
	// Input are the event nodes of interface 0, such as "/dev/input/event5", sorted.
	Input []string
	// Reader is the name of the smart-card reader that the key was found as, where the system does not show it on USB. Find
	// never sets it.
	Reader string
}

// Find lists the attached devices with Yubico's vendor ID, in order of bus and port. It reads only attribute files below
// sys, which is os.DirFS("/sys") on a real system, and opens no device node. Keys without a usable OTP interface are
// listed with OTP false, so that the caller can say so. An entry that is malformed or vanishes during the walk is left
// out. A system without the directory bus/usb/devices gives ErrNoUSB. It may be called concurrently.
func Find(sys fs.FS) ([]Attached, error) {
	entries, err := fs.ReadDir(sys, devicesDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoUSB
	}
	if err != nil {
		return nil, fmt.Errorf("find keys: %w", err)
	}
	var found []Attached
	for _, e := range entries {
		if a, err := Stat(sys, e.Name()); err == nil {
			found = append(found, a)
		}
	}
	sortByPort(found)
	return found, nil
}

func sortByPort(list []Attached) {
	slices.SortFunc(list, func(a, b Attached) int { return ComparePorts(a.Path, b.Path) })
}

// ComparePorts orders paths by bus and ports as numbers, so that "1-1.10" comes after "1-1.9"; what is no path comes first.
func ComparePorts(a, b string) int {
	if c := slices.Compare(ports(a), ports(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

// Stat reads the device at one path, such as "1-1.2", as Find does. Whatever is there instead of a complete device of
// Yubico's (nothing, an interface, a hub, another vendor, a half-removed entry) gives ErrGone.
func Stat(sys fs.FS, devicePath string) (Attached, error) {
	if ports(devicePath) == nil {
		return Attached{}, fmt.Errorf("usb device: malformed path: %w", ErrGone)
	}
	dir := attrs{sys, path.Join(devicesDir, devicePath)}
	vendor, okVendor := dir.number("idVendor", 16)
	product, okProduct := dir.number("idProduct", 16)
	bus, okBus := dir.number("busnum", 10)
	address, okAddress := dir.number("devnum", 10)
	if !okVendor || !okProduct || !okBus || !okAddress || vendor != VendorID {
		return Attached{}, fmt.Errorf("usb device %s: %w", devicePath, ErrGone)
	}
	a := Attached{
		Path: devicePath, Product: dir.text("product"), SerialUSB: dir.text("serial"),
		Firmware: firmware(dir.text("bcdDevice")),
		Bus:      int(bus), Address: int(address),
		USBNode: fmt.Sprintf("/dev/bus/usb/%03d/%03d", bus, address),
	}
	a.Model, _ = ModelOf(product)
	if cfg, ok := dir.number("bConfigurationValue", 10); ok {
		a.statKeyboard(attrs{sys, fmt.Sprintf("%s:%d.0", dir.path, cfg)})
	}
	return a, nil
}

// statKeyboard fills in what belongs to interface 0, where the OTP keyboard always is (reference yubikey-otp.md §1.2).
func (a *Attached) statKeyboard(itf attrs) {
	class, subclass, protocol := itf.text("bInterfaceClass"), itf.text("bInterfaceSubClass"), itf.text("bInterfaceProtocol")
	// 3/1/1 = HID, boot interface, keyboard (HID 1.11 §4.1 to 4.3).
	a.OTP = a.Model.Interfaces.Has(OTP) && class == "03" && subclass == "01" && protocol == "01"
	if !a.OTP {
		return
	}
	a.Driver = itf.driver()
	for _, node := range itf.glob("*/hidraw/hidraw*") {
		a.HIDRaw = "/dev/" + path.Base(node)
	}
	for _, node := range itf.glob("*/input/input*/event*") {
		a.Input = append(a.Input, "/dev/input/"+path.Base(node))
	}
	slices.Sort(a.Input)
}

// attrs reads the attribute files of one sysfs directory. A file that is missing or unreadable (ENODEV while the device
// is being removed) reads as empty.
type attrs struct {
	sys  fs.FS
	path string
}

func (d attrs) read(name string) []byte {
	b, err := fs.ReadFile(d.sys, path.Join(d.path, name))
	if err != nil {
		return nil
	}
	return b
}

// text is the attribute without surrounding space and without unprintable characters: strings come from the device.
func (d attrs) text(name string) string { return printable(d.read(name)) }

// number is the attribute as an unsigned 16-bit number.
func (d attrs) number(name string, base int) (uint16, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(string(d.read(name))), base, 16)
	return uint16(n), err == nil
}

// driver is the line DRIVER= of the interface's uevent file; without that line no driver is bound.
func (d attrs) driver() string {
	for line := range bytes.Lines(d.read("uevent")) {
		if name, ok := bytes.CutPrefix(line, []byte("DRIVER=")); ok {
			return printable(name)
		}
	}
	return ""
}

// glob lists entries below the directory. It follows links and ignores what cannot be read.
func (d attrs) glob(pattern string) []string {
	found, err := fs.Glob(d.sys, d.path+"/"+pattern)
	if err != nil { // only a malformed pattern, and ports has let no metacharacter through
		return nil
	}
	return found
}

func printable(b []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, string(b)))
}

// ports splits a device path "B-P.P.P" into its numbers; nil for anything else (root hubs "usb1", interfaces "1-1:1.0").
func ports(devicePath string) []int {
	bus, rest, ok := strings.Cut(devicePath, "-")
	if !ok {
		return nil
	}
	var numbers []int
	for _, field := range append([]string{bus}, strings.Split(rest, ".")...) {
		n, err := strconv.ParseUint(field, 10, 16)
		if err != nil {
			return nil
		}
		numbers = append(numbers, int(n))
	}
	return numbers
}

// firmware reads bcdDevice, four digits MMmb for major, minor and build: "0543" is 5.4.3 (reference yubikey-otp.md §1.2).
func firmware(bcd string) string {
	n, err := strconv.ParseUint(bcd, 10, 16) // base 10: a digit above 9 is not BCD
	if err != nil || len(bcd) != 4 {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", n/100, n/10%10, n%10)
}
