package suite_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/suite"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/usbhid/libusb"
	"github.com/tokendesk/tokendesk/ykslot"
)

// The environment of TestHardware, which `make test-hw SERIAL=…` sets.
const (
	envSerial    = "TOKENDESK_HW_SERIAL"    // the decimal serial number of the key that may be wiped; without it the test is skipped
	envTransport = "TOKENDESK_HW_TRANSPORT" // libusb or hidraw; by default libusb where built in
	envReport    = "TOKENDESK_HW_REPORT"    // file for the report
)

const warning = `
WARNING: this wipes both slots of the YubiKey with serial %d, also what the factory put into slot 1, which nobody can
restore. Its other applications are left alone. Unplug every other YubiKey. Ctrl-C within %d seconds to keep it.

`

// warningSeconds is how long a person has to change their mind.
const warningSeconds = 10

// report is what a person may send in: no secret, no serial number, no error texts.
type report struct {
	Format    string          `json:"format"`
	When      time.Time       `json:"when"`
	System    string          `json:"system"`
	Transport string          `json:"transport"`
	ProductID string          `json:"product_id"` // four hexadecimal digits
	Product   string          `json:"product"`
	Firmware  string          `json:"firmware"`
	Cases     []suite.Outcome `json:"cases"`
}

// TestHardware runs the suite on the real key whose serial number the environment demands, and on no other.
func TestHardware(t *testing.T) {
	text := os.Getenv(envSerial)
	if text == "" {
		t.Skipf("needs a YubiKey that may be wiped: make test-hw SERIAL=its serial number (%s)", envSerial)
	}
	serial, err := strconv.ParseUint(text, 10, 32)
	if err != nil || serial == 0 {
		t.Fatalf("%s is not a serial number", envSerial)
	}
	transport := os.Getenv(envTransport)
	switch {
	case transport != "":
	case libusb.Available:
		transport = "libusb"
	default:
		transport = "hidraw"
	}
	key, err := suite.Attached()
	if err != nil {
		t.Fatal(err)
	}
	open := demandSerial(uint32(serial), func(ctx context.Context) (usbhid.Device, error) {
		return suite.OpenAttached(ctx, transport)
	})
	dev, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(os.Stderr, warning, serial, warningSeconds)
	time.Sleep(warningSeconds * time.Second) // a person reads
	res := suite.Run(t, suite.Target{
		Open: open,
		Press: func(_ context.Context, slot ykslot.Slot) error {
			return ask(map[ykslot.Slot]string{ykslot.Slot1: "touch the key briefly", ykslot.Slot2: "hold the key for 3 seconds"}[slot])
		},
		Unplug: func(ctx context.Context) error {
			return errors.Join(ask("pull the key out"), suite.WaitAttached(ctx, false))
		},
		Plug: func(ctx context.Context) error {
			return errors.Join(ask("put the same key back"), suite.WaitAttached(ctx, true))
		},
		Keyboard: suite.KeyboardAttached,
		Serial:   uint32(serial),
		Patience: 3 * time.Minute,
	})
	writeReport(t, report{
		Format: "tokendesk hardware report 1", When: time.Now().UTC(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Transport: transport, ProductID: fmt.Sprintf("%04x", uint16(key.Model.ProductID)), Product: key.Product,
		Firmware: res.Firmware.String(), Cases: res.Outcomes,
	})
}

// ask tells a person what to do. go test shows standard error at once only for a single package with -v.
func ask(what string) error {
	_, err := fmt.Fprintf(os.Stderr, ">>> %s\n", what)
	return err
}

// demandSerial closes a key again that is not the one with the serial number, or that hides it.
func demandSerial(want uint32, open func(context.Context) (usbhid.Device, error)) func(context.Context) (usbhid.Device, error) {
	return func(ctx context.Context) (usbhid.Device, error) {
		dev, err := open(ctx)
		if err != nil {
			return nil, err
		}
		got := uint32(0)
		s, err := ykslot.Open(ctx, dev, nil)
		if err == nil {
			got, err = s.Serial(ctx)
		}
		if err == nil && got != want {
			err = fmt.Errorf("this is the key with serial %d, not %d: leaving it alone", got, want)
		}
		if err != nil {
			return nil, errors.Join(err, dev.Close())
		}
		return dev, nil
	}
}

func writeReport(t *testing.T, r report) {
	t.Helper()
	path := os.Getenv(envReport)
	if path == "" {
		return
	}
	b, err := json.MarshalIndent(r, "", "\t")
	if err == nil {
		err = os.WriteFile(path, append(b, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(os.Stderr, ">>> wrote %s: it holds no secret and no serial number, and may be sent in\n", path)
}
