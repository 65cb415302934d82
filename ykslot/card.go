package ykslot

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// ErrNoApplet: the key has no OTP application on this way: it is switched off there, or the key never had it.
var ErrNoApplet = errors.New("the key's OTP application is switched off here, or the key has none")

// OpenCard opens a key in a smart-card reader: the same Session by the commands of its OTP and Management applications.
// card must be held exclusively, or another program's command comes in between. If it also has a method ATR() []byte, a
// key that is held to an NFC reader is told apart from one on USB. It wraps ErrNoApplet, and the transmitter's errors.
//
// A press cannot be read here. Firmware 4.0 to 5.2 on USB answers questions and takes settings, but its slots cannot be written:
// those methods return an *UnsupportedError. A cancelled context is noticed between commands; a write that was sent is
// waited for.
func OpenCard(ctx context.Context, card apdu.Transmitter) (*Session, error) {
	c := &cardCarrier{ch: apdu.Channel{Card: card}}
	if a, ok := card.(interface{ ATR() []byte }); ok {
		c.nfc = overNFC(a.ATR())
	}
	if err := c.open(ctx); err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	return &Session{c}, nil
}

// OpenManagement is OpenCard for the settings of a key whose OTP application may be switched off: its status tells the
// firmware alone, and every method but DeviceInfo, SetMode and WriteDeviceConfig fails with ErrNoApplet.
func OpenManagement(ctx context.Context, card apdu.Transmitter) (*Session, error) {
	c := &cardCarrier{ch: apdu.Channel{Card: card}, managed: true}
	if err := c.open(ctx); err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	return &Session{c}, nil
}

// overNFC reports whether an ATR is that of a key held to an NFC reader: TA1 to TD1 are not all there, as on USB. Source:
// reference yubikey-otp.md §1.2.
func overNFC(atr []byte) bool { return len(atr) > 1 && atr[1]&0xF0 != 0xF0 }

// applet is what is selected on the card.
type applet uint8

const (
	noApplet applet = iota
	otpApplet
	managementApplet
)

// appletID is the AID. Source: reference yubikey-otp.md §5.
func (a applet) appletID() []byte {
	if a == managementApplet {
		return []byte{0xA0, 0x00, 0x00, 0x05, 0x27, 0x47, 0x11, 0x17}
	}
	return []byte{0xA0, 0x00, 0x00, 0x05, 0x27, 0x20, 0x01}
}

// Instructions. Source: reference yubikey-otp.md §5, §7.1.
const (
	insCommand     = 0x01 // OTP: P1 is the command, the data are its payload
	insStatus      = 0x03 // OTP: 6 status bytes
	insReadInfo    = 0x1D // Management: P1 is the page
	insWriteInfo   = 0x1C // Management
	insDeviceMode  = 0x16 // Management: P1 is the command
	statusLen      = 6
	unselectHeader = "\xA4\x04\x00\x08" // a NEO leaves the Management application by it: §7.1
)

// cardCarrier is the carrier over the commands of a smart card.
type cardCarrier struct {
	ch       apdu.Channel
	nfc      bool
	version  Version // of the key; what the status says may be garbage
	selected applet
	status   Status
	raw      uint16 // Status.Touch as the key said it, without the overlay
	overlay  overlay
	managed  bool // only the Management application is used
}

func (c *cardCarrier) last() Status { return c.status }

// open learns the firmware: from the Management application where there is one, because the status may be garbage over NFC; of
// a NEO it is the higher of both. Source: reference yubikey-otp.md §5.
func (c *cardCarrier) open(ctx context.Context) error {
	text, err := c.ch.Select(ctx, managementApplet.appletID())
	managed, told := managementVersion(text)
	var sw apdu.Status
	switch {
	case err == nil && told:
		c.version, c.selected = managed, managementApplet
	case err == nil, errors.As(err, &sw):
	default:
		return err
	}
	if c.managed {
		c.status = Status{Version: c.version}
		if !told {
			return fmt.Errorf("%w: the key has no Management application", ErrNoApplet)
		}
		return nil
	}
	if _, err := c.refresh(ctx); err != nil {
		return err
	}
	if c.version.Major == 0 {
		return fmt.Errorf("%w: no firmware version", ErrProtocol)
	}
	return nil
}

var versionText = regexp.MustCompile(`(\d{1,3})\.(\d{1,3})\.(\d{1,3})`)

// managementVersion finds x.y.z in what the Management application says about itself.
func managementVersion(text []byte) (Version, bool) {
	m := versionText.FindSubmatch(text)
	if m == nil {
		return Version{}, false
	}
	var v [3]uint8
	for i := range v {
		n, err := strconv.ParseUint(string(m[i+1]), 10, 8)
		if err != nil {
			return Version{}, false
		}
		v[i] = uint8(n)
	}
	return Version{v[0], v[1], v[2]}, v[0] != 0
}

// unselect makes a NEO leave the Management application. What it answers does not matter.
func (c *cardCarrier) unselect(ctx context.Context) error {
	c.selected = noApplet
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := c.ch.Card.Transmit(ctx, []byte(unselectHeader))
	return err
}

// enter selects an applet, if it is not selected.
func (c *cardCarrier) enter(ctx context.Context, a applet) error {
	switch {
	case a == otpApplet && c.managed:
		return ErrNoApplet
	case c.selected == a:
		return nil
	}
	if c.selected == managementApplet && c.version.Major == neoMajor {
		if err := c.unselect(ctx); err != nil {
			return err
		}
	}
	c.selected = noApplet
	answer, err := c.ch.Select(ctx, a.appletID())
	switch {
	case errors.Is(err, apdu.NotFound) && a == otpApplet:
		return fmt.Errorf("%w: %w", ErrNoApplet, err)
	case err != nil:
		return err
	}
	c.selected = a
	if a == otpApplet {
		c.learn(answer)
	}
	return nil
}

// learn takes the version of a NEO, and that of a key without Management, from what the OTP application says about itself.
func (c *cardCarrier) learn(answer []byte) {
	if len(answer) < statusLen {
		return
	}
	if v := (Version{answer[0], answer[1], answer[2]}); c.version.Major == 0 || c.version.Major == neoMajor && v.Major == neoMajor && v.Compare(c.version) > 0 {
		c.version = v
	}
}

// take reads 6 status bytes: a report's without its first and its last byte. A NEO and a YubiKey 4 append more.
func (c *cardCarrier) take(b []byte) bool {
	if len(b) < statusLen {
		return false
	}
	var r Report
	copy(r[1:offFlag], b[:statusLen])
	st, ok := ParseStatus(r)
	st.Version, c.raw = c.version, st.Touch
	c.status = c.overlay.on(st)
	return ok
}

// refresh implements carrier. What SELECT answers is not used: over NFC it may be garbage.
func (c *cardCarrier) refresh(ctx context.Context) (Status, error) {
	if c.managed {
		return c.status, nil
	}
	if err := c.enter(ctx, otpApplet); err != nil {
		return c.status, err
	}
	b, err := c.ch.Send(ctx, apdu.Command{Instruction: insStatus, Expect: apdu.Any})
	switch {
	case err != nil:
		return c.status, err
	case !c.take(b):
		return c.status, fmt.Errorf("%w: a status of %d bytes", ErrProtocol, len(b))
	}
	return c.status, nil
}
