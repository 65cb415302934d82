package usbhid

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestModels transcribes the table of reference yubikey-otp.md §1.1.
func TestModels(t *testing.T) {
	t.Parallel()
	want := strings.Fields(`
		0010:OTP 0110:OTP 0111:OTP+CCID 0112:CCID 0113:FIDO 0114:OTP+FIDO 0115:FIDO+CCID 0116:OTP+FIDO+CCID 0120:FIDO
		0401:OTP 0402:FIDO 0403:OTP+FIDO 0404:CCID 0405:OTP+CCID 0406:FIDO+CCID 0407:OTP+FIDO+CCID 0410:OTP+FIDO`)
	var got []string
	for _, m := range Models() {
		got = append(got, fmt.Sprintf("%04x:%v", m.ProductID, m.Interfaces))
		if found, ok := ModelOf(m.ProductID); !ok || found != m {
			t.Errorf("ModelOf(%04x) = %v, %v, want %v", m.ProductID, found, ok, m)
		}
		// The low bits of 04xx are the mask of interfaces; 0410 is another product.
		if m.Family == FamilyYubiKey && Interfaces(m.ProductID&7) != m.Interfaces {
			t.Errorf("%04x has %v", m.ProductID, m.Interfaces)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if m, ok := ModelOf(0x0030); ok || m != (Model{ProductID: 0x0030}) {
		t.Errorf("ModelOf(0030) = %v, %v, want only the ID", m, ok)
	}
}

func TestModelNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ got, want string }{
		{FamilyUnknown.String(), "unknown"}, {FamilyStandard.String(), "YubiKey 1/2"}, {FamilyNEO.String(), "YubiKey NEO"},
		{FamilySecurityKey.String(), "Security Key"}, {FamilyYubiKey.String(), "YubiKey 4/5"}, {FamilyPlus.String(), "YubiKey Plus"},
		{Family(9).String(), "Family(9)"}, {Interfaces(0).String(), "none"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

func TestUdevRule(t *testing.T) {
	t.Parallel()
	var ids []string
	for _, m := range Models() {
		if m.Interfaces.Has(OTP) {
			ids = append(ids, fmt.Sprintf("%04x", m.ProductID))
		}
	}
	want := `# tokendesk: access to the OTP interface of a YubiKey for the user at the seat.
ACTION=="remove", GOTO="tokendesk_end"
SUBSYSTEM!="usb|hidraw|input", GOTO="tokendesk_end"
ATTRS{idVendor}=="1050", ATTRS{idProduct}=="` + strings.Join(ids, "|") + `", ENV{ID_SECURITY_TOKEN}="1", TAG+="uaccess"
LABEL="tokendesk_end"
`
	if UdevRule != want {
		t.Errorf("got\n%s\nwant\n%s", UdevRule, want)
	}
	if name := UdevRulePath[strings.LastIndex(UdevRulePath, "/")+1:]; name >= "73-seat-late.rules" {
		t.Errorf("%s sorts after 73-seat-late.rules, where uaccess takes effect", name)
	}
}

func TestPermissionError(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("hidraw: %w", Denied("/dev/hidraw3"))
	var denied *PermissionError
	if !errors.Is(err, ErrPermission) || !errors.As(err, &denied) || denied.Node != "/dev/hidraw3" || denied.Rule != UdevRule {
		t.Errorf("got %#v", denied)
	}
	const want = "hidraw: open /dev/hidraw3: no permission; the udev rule /etc/udev/rules.d/69-tokendesk.rules grants it"
	if err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}
