package ykslot

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// validConfig has all parts that any mode asks for.
func validConfig(f Flags) Config {
	key := secret.Copy([]byte("0123456789abcdef"))
	return Config{Fixed: make([]byte, FixedLen), UID: secret.New(make([]byte, UIDLen)), Key: key, Flags: f}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		flags Flags
		text  string // of the refusal
	}{
		// the triples of reference yubikey-otp.md §3.3
		{"yubikit OTP", Flags{0x34, 0x20, 0x00}, ""}, {"yubikit static", Flags{0x34, 0x20, 0x02}, ""},
		{"yubikit HOTP 6", Flags{0x34, 0x60, 0x40}, ""}, {"yubikit HOTP 8", Flags{0x34, 0x60, 0x42}, ""},
		{"yubikit HMAC", Flags{0x24, 0x40, 0x26}, ""}, {"yubikit HMAC touch", Flags{0x24, 0x40, 0x2e}, ""},
		{"ykpersonalize -1", Flags{0, 0x20, 0}, ""}, {"ykpersonalize -2", Flags{0, 0x20, 0xf0}, ""}, {".NET static", Flags{0x20, 0x20, 0xa0}, ""},

		{"strong without static", Flags{0, 0, 0x10}, "STRONG_PW1 or OATH_FIXED_MODHEX1 does not go with Yubico OTP"},
		{"strong 2 without static", Flags{0, 0, 0x42}, "STRONG_PW2"},
		{"man update without static", Flags{0, 0, 0x80}, "MAN_UPDATE"},
		{"man update with HOTP", Flags{0, 0x40, 0x80}, "MAN_UPDATE"},
		{"enter with challenge", Flags{0, 0x60, 0x22}, "APPEND_CR does not go with HMAC"},
		{"tab with challenge", Flags{0, 0x41, 0x20}, "TAB_FIRST"},
		{"delay with challenge", Flags{0, 0x48, 0x22}, "APPEND_DELAY1"},
		{"variable length with Yubico challenge", Flags{0, 0x40, 0x24}, "PACING_10MS or HMAC_LT64 does"},
		{"F16", Flags{0, 0x60, 0x70}, "does not go with"},
		{"dormant for ever", Flags{0x40, 0, 0}, "DORMANT without ALLOW_UPDATE"},
		{"dormant", Flags{0x60, 0, 0}, ""},
	} {
		err := validConfig(tc.flags).Validate()
		var invalid *InvalidError
		if (err == nil) != (tc.text == "") || err != nil && (!errors.As(err, &invalid) || !strings.Contains(err.Error(), tc.text)) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	short := validConfig(Flags{Config: ShortTicket})
	short.Fixed = short.Fixed[:11]
	if short.Validate() == nil {
		t.Error("scan codes with a short fixed part were taken")
	}
}

func TestSupported(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		flags Flags
		v     Version
		what  string
	}{
		{"baseline", Flags{0x34, 0x20, 0}, Version{2, 3, 0}, ""},
		{"baseline, too old", Flags{0x34, 0x20, 0}, Version{2, 2, 9}, "FAST_TRIG"},
		{"baseline on 5", Flags{0x34, 0x20, 0}, Version{5, 7, 1}, ""},
		{"serial button", Flags{0x01, 0, 0}, Version{3, 0, 0}, "SERIAL_BTN_VISIBLE"},
		{"serial button on 2.4", Flags{0x01, 0, 0}, Version{2, 4, 3}, ""},
		{"serial USB on 3.1", Flags{0x02, 0, 0}, Version{3, 1, 9}, "SERIAL_USB_VISIBLE"},
		{"serial USB on 3.2", Flags{0x02, 0, 0}, Version{3, 2, 0}, ""},
		{"keypad on 4", Flags{0x08, 0, 0}, Version{4, 3, 5}, "USE_NUMERIC_KEYPAD"},
		{"LED on 3.0", Flags{0x80, 0, 0}, Version{3, 0, 5}, "LED_INV"},
		{"LED on 2.4", Flags{0x80, 0, 0}, Version{2, 4, 0}, ""},
		{"delay on 2", Flags{0, 0x08, 0}, Version{2, 4, 0}, ""},
		{"delay on 4", Flags{0, 0x10, 0}, Version{4, 0, 0}, "APPEND_DELAY2"},
		{"protect on 1", Flags{0, 0x80, 0}, Version{1, 9, 0}, "PROTECT_CFG2"},
		{"HOTP on 2.0", Flags{0, 0x40, 0}, Version{2, 0, 9}, "OATH_HOTP"},
		{"challenge on 2.1", Flags{0, 0x40, 0x22}, Version{2, 1, 9}, "CHAL_RESP"},
		{"man update on 4", Flags{0, 0, 0xa0}, Version{4, 0, 0}, "MAN_UPDATE"},
	} {
		err := validConfig(tc.flags).Supported(tc.v)
		var unsupported *UnsupportedError
		if (err == nil) != (tc.what == "") || err != nil && (!errors.As(err, &unsupported) || unsupported.What != tc.what || unsupported.Have != tc.v) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	hotp := validConfig(Flags{Ticket: OathHOTP})
	hotp.UID.Reveal()[5] = 1
	if hotp.Supported(Version{2, 1, 6}) == nil || hotp.Supported(Version{2, 2, 0}) != nil {
		t.Error("gate of the first HOTP counter")
	}
	err := validConfig(Flags{Ext: SerialUSBVisible}).Supported(Version{3, 1, 0})
	if want := "SERIAL_USB_VISIBLE needs firmware 2.2.0 or newer but older than 3.0.0, or 3.2.0 or newer; this key has 3.1.0"; err.Error() != want {
		t.Errorf("got %q", err)
	}
}

func TestTypingFlags(t *testing.T) {
	t.Parallel()
	for v, want := range map[Version]Flags{
		{5, 4, 3}: {0x34, 0x20, 0}, {2, 3, 0}: {0x34, 0x20, 0}, {2, 2, 0}: {0x04, 0x20, 0}, {2, 1, 0}: {0, 0x20, 0},
	} {
		got := TypingFlags(v)
		if got != want || validConfig(got).Supported(v) != nil {
			t.Errorf("%v: %v", v, got)
		}
	}
}

func TestFlagStrings(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		Flags{0x34, 0x20, 0}.String():    "34/20/00 (Yubico OTP: SERIAL_API_VISIBLE|FAST_TRIG|ALLOW_UPDATE, APPEND_CR)",
		Flags{0x24, 0x40, 0x2e}.String(): "24/40/2e (HMAC challenge-response: SERIAL_API_VISIBLE|ALLOW_UPDATE, CHAL_RESP, CHAL_HMAC|HMAC_LT64|CHAL_BTN_TRIG|CHAL_YUBICO)",
		Flags{0, 0x60, 0x42}.String():    "00/60/42 (OATH-HOTP: APPEND_CR|OATH_HOTP, OATH_HOTP8|OATH_FIXED_MODHEX2)",
		Flags{0, 0, 0x10}.String():       "00/00/10 (Yubico OTP: 10)",
		AppendCR.String():                "APPEND_CR",
		(Pacing10ms | SendRef).String():  "SEND_REF|PACING_10MS",
		LEDInv.String():                  "LED_INV",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestYubicoOTP(t *testing.T) {
	t.Parallel()
	base := func() YubicoOTP {
		return YubicoOTP{PublicID: []byte{1}, PrivateID: secret.New(make([]byte, 6)), Key: secret.Copy([]byte("0123456789abcdef")), Flags: TypingFlags(Version{5, 0, 0})}
	}
	for _, tc := range []struct {
		name   string
		change func(*YubicoOTP)
		ok     bool
	}{
		{"good", func(*YubicoOTP) {}, true},
		{"no public ID", func(y *YubicoOTP) { y.PublicID = nil }, true},
		{"17 bytes of public ID", func(y *YubicoOTP) { y.PublicID = make([]byte, 17) }, false},
		{"no private ID", func(y *YubicoOTP) { y.PrivateID = secret.Bytes{} }, false},
		{"short key", func(y *YubicoOTP) { y.Key = secret.Copy([]byte("short")) }, false},
		{"zero key", func(y *YubicoOTP) { y.Key = secret.New(make([]byte, 16)) }, false},
		{"HOTP flags", func(y *YubicoOTP) { y.Ticket |= OathHOTP }, false},
		{"static flags", func(y *YubicoOTP) { y.Flags.Config |= StaticTicket }, false},
		{"pacing", func(y *YubicoOTP) { y.Flags.Config |= Pacing10ms | Pacing20ms | SendRef }, true},
	} {
		y := base()
		tc.change(&y)
		if _, err := y.Config(); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	c, _ := base().Config()
	if out := fmt.Sprintf("%v %+v %#v %s", c, c, c, c); strings.Contains(out, "0123456789abcdef") || strings.Contains(out, "48 49 50") {
		t.Error("the key prints")
	}
}

func TestMarshalLengths(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{
		"fixed": {Fixed: make([]byte, 17)}, "uid": {UID: secret.New(make([]byte, 5))},
		"key": {Key: secret.New(make([]byte, 20))}, "code": {AccessCode: secret.New(make([]byte, 7))},
	} {
		var invalid *InvalidError
		if b, err := c.AppendMarshal(nil); !errors.As(err, &invalid) || b != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
