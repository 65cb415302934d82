package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision/pcsc"
	"github.com/tokendesk/tokendesk/usbhid"
)

// readersRigBus is a bus whose smart-card service says what the test wants.
type readersRigBus struct {
	cardRigBus
	list []pcsc.Reader
	err  error
}

func (b readersRigBus) readerList(context.Context) ([]pcsc.Reader, error) { return b.list, b.err }

// TestDoctorCards: what is missing of smart cards is said with what to do, and is no failure: the keyboard interface does everything.
func TestDoctorCards(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		bus  readersRigBus
		rows string // check and state of each
		says string // in details or advice
	}{
		{"not built in", readersRigBus{err: usbhid.ErrNotBuiltIn}, "Smart cards OK", "not part of this build"},
		{"no service", readersRigBus{err: fmt.Errorf("smart cards: %w", pcsc.ErrNoService)}, "Smart cards WARN", "pcscd"},
		{"denied", readersRigBus{err: pcsc.ErrDenied}, "Smart cards WARN", "polkit"},
		{"broken", readersRigBus{err: errors.New("odd")}, "Smart cards WARN", "odd"},
		{"readers", readersRigBus{list: []pcsc.Reader{
			{Name: "Yubico YubiKey OTP+FIDO+CCID 00 00", ATR: []byte{0x3B}}, {Name: "Other 01 00"},
			{Name: "Yubico YubiKey CCID 02 00", ATR: []byte{0x3B}, Held: true}, {Name: "Yubico YubiKey OTP+CCID 03 00"},
		}}, "Smart cards OK, Reader Yubico YubiKey OTP+FIDO+CCID 00 00 OK, Reader Yubico YubiKey CCID 02 00 WARN, Reader Yubico YubiKey OTP+CCID 03 00 WARN", "scdaemon"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := &app{env: &env{bus: test.bus}}
			var rows, said []string
			for _, f := range a.examineCards(t.Context()) {
				rows = append(rows, f.Check+" "+string(f.State))
				said = append(append(said, f.Detail), f.Next...)
			}
			if got := strings.Join(rows, ", "); got != test.rows {
				t.Errorf("%s\nwant %s", got, test.rows)
			}
			if !strings.Contains(strings.Join(said, "\n"), test.says) {
				t.Errorf("%q does not say %q", said, test.says)
			}
		})
	}
	for _, goos := range []string{"linux", "darwin", "windows"} {
		if len(serviceHints(goos)) == 0 {
			t.Errorf("no advice for %s", goos)
		}
	}
}
