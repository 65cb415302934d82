package main

import (
	"errors"
	"runtime"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/pcsc"
	"github.com/tokendesk/tokendesk/ykslot"
)

// explainCard: the smart-card service, a reader, or what a key does not do as a smart card.
func explainCard(err error, x *explained) bool {
	var held *pcsc.HeldError
	switch {
	case errors.As(err, &held):
		x.code = exitBusy
		x.line = held.Error()
		x.hints = []string{
			"GnuPG's scdaemon holds it for hours: gpgconf --kill scdaemon",
			"yubikey-agent, an SSH agent with a certificate of the key, a browser, or Yubico Authenticator may be it too: close them",
			"slots can be reached without the smart card: --transport libusb or hidraw",
		}
	case errors.Is(err, pcsc.ErrNoService):
		x.hints = serviceHints(runtime.GOOS)
	case errors.Is(err, pcsc.ErrDenied):
		x.hints = []string{"log in at the machine itself, or allow it by a rule of polkit's (org.debian.pcsc-lite.access_pcsc and access_card)"}
	case errors.Is(err, pcsc.ErrNoCard):
		x.hints = []string{"unplug the key and plug it in again, or put it on the reader again"}
	case errors.Is(err, ykslot.ErrNoApplet):
		x.hints = []string{"switch it on: tokendesk device config --enable otp"}
	case errors.Is(err, ykslot.ErrStale):
		x.hints = []string{"unplug the key and plug it in again"}
	case errors.Is(err, provision.ErrUnknownSlots):
		x.hints = []string{"touch it shortly for slot 1, and hold it for three seconds for slot 2: they must not type the same",
			"let the key itself tell, not who types: --transport libusb or hidraw"}
	case errors.Is(err, ykslot.ErrNeedsHID):
		x.hints = []string{"use it: --transport libusb or hidraw"}
	default:
		return false
	}
	return true
}

// serviceHints are how to get the smart-card service to run.
func serviceHints(goos string) []string {
	switch goos {
	case "windows":
		return []string{"plug the key in: Windows runs the service Smart Card (SCardSvr) while there is a reader", "if it stays: Start-Service SCardSvr, as administrator"}
	case "darwin":
		return []string{"macOS starts it by itself when a key is plugged in; log out and in again if it does not"}
	}
	return []string{"install it: apt-get install pcscd (or the package pcsc-lite), then: systemctl enable --now pcscd.socket"}
}
