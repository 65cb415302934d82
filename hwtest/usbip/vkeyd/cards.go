package main

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
)

// touchWait is longer than a key's: an order takes seconds in the guest, and more on a busy machine.
const touchWait = 5 * time.Minute

// install gives a key the applications of its card.
func install(k *vkey.Key) {
	oathapplet.Install(k, oathapplet.Options{TouchWait: touchWait})
	pivapplet.Install(k, pivapplet.Options{})
}

// accounts lists what the OATH application holds, without keys.
func accounts(k *vkey.Key) string {
	a := oathapplet.Of(k)
	list := []string{fmt.Sprintf("locked=%t", a.Locked())}
	for _, n := range a.Accounts() {
		kind := "TOTP"
		if n.HOTP {
			kind = fmt.Sprintf("HOTP factor=%d", n.NextFactor)
		}
		list = append(list, fmt.Sprintf("%q %s hash=%d digits=%d touch=%t", n.Name, kind, n.Hash, n.Digits, n.Touch))
	}
	return strings.Join(list, "; ")
}

// pivState is what the PIV application holds, without keys and PINs, and what hosts tried.
func pivState(k *vkey.Key) string {
	p := pivapplet.Of(k)
	pin, puk := p.Tries()
	c := p.Counts()
	text := fmt.Sprintf("pin=%d puk=%d tried=%d/%d/%d wrong=%d/%d/%d resets=%d", pin, puk, c.PINTried, c.PUKTried, c.ManagementTried,
		c.PINWrong, c.PUKWrong, c.ManagementWrong, c.Resets)
	for _, n := range []byte{0x9a, 0x9c, 0x9d, 0x9e} {
		if s, ok := p.Slot(n); ok {
			text += fmt.Sprintf(" %02x=%v", n, s.Algorithm)
		}
	}
	return text
}

// root is the certificate that attestations lead to, as it is in a PEM file but in one line.
func root() string { return base64.StdEncoding.EncodeToString(pivapplet.TestCA().Root().Raw) }
