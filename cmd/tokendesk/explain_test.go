package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// TestExplain: each kind of error has its exit code and says what to do, in one line without a line break.
func TestExplain(t *testing.T) {
	t.Parallel()
	entry := token.Entry{Serial: 7, Slot: 2}
	for _, tc := range []struct {
		name string
		err  error
		code exitCode
		line string // part of the line
		hint string // part of a hint; "": none is wanted
	}{
		{"usage", usagef("--slot is missing"), exitUsage, "--slot", ""},
		{"cancelled", fmt.Errorf("read: %w", context.Canceled), exitError, "interrupted", ""},
		{"no permission", fmt.Errorf("open: %w", usbhid.Denied("/dev/hidraw3")), exitDevice, "/dev/hidraw3", usbhid.UdevRulePath},
		{"a key that refuses a report", os.NewSyscallError("ioctl", syscall.EPIPE), exitError, "ioctl: broken pipe", ""},
		{"a connection that is gone", fmt.Errorf("%w: %w", usbhid.ErrGone, syscall.EPIPE), exitDevice, "pulled out", "plug the key in again"},
		{"gone", usbhid.ErrGone, exitDevice, "pulled out", "plug the key in again"},
		{"busy", usbhid.ErrBusy, exitBusy, "in use by another program", "other program"},
		{"timeout", usbhid.ErrTimeout, exitDevice, "did not answer", "unplug"},
		{"not answering", ykslot.ErrNotAnswering, exitDevice, "not answering", "unplug"},
		{"no USB", usbhid.ErrNoUSB, exitDevice, "no USB", "/sys/bus/usb"},
		{"not built in", usbhid.ErrNotBuiltIn, exitDevice, "not part of this build", "tokendesk version"},
		{"uncertain, a problem", &provision.UncertainError{Entry: entry, Err: problemf(exitVerify, "nobody types")}, exitVerify, "not settled: nobody types", "provision resume --serial 7"},
		{"a problem about it", &problem{line: "left open", code: exitVerify, cause: &provision.UncertainError{Entry: entry, Err: usbhid.ErrGone}}, exitVerify, "left open", ""},
		{"stale card", fmt.Errorf("%w: %w", ykslot.ErrUnsettled, ykslot.ErrStale), exitDevice, "plugged in again", "unplug"},
		{"nobody's press", &provision.UnsettledError{Change: token.SlotChange{Serial: 7, Work: token.Swap}, Err: provision.ErrUnknownSlots}, exitDevice, "did not tell", "--transport libusb"},
		{"rejected", &ykslot.RejectedError{Slot: 1, Causes: []ykslot.Cause{ykslot.CauseAccessCode}}, exitDevice, "slot 1", "access code"},
		{"firmware too old", &ykslot.UnsupportedError{What: "slot 2", Needs: "2.2.0 or newer", Have: ykslot.Version{Major: 2, Minor: 1, Patch: 5}}, exitDevice, "needs firmware 2.2.0", ""},
		{"uncertain, gone", &provision.UncertainError{Entry: entry, Err: usbhid.ErrGone}, exitDevice, "key 7, slot 2", "provision resume --serial 7"},
		{"uncertain, no touch", &provision.UncertainError{Entry: entry, Err: provision.ErrNoTouch}, exitVerify, "touched", "provision resume --serial 7"},
		{"uncertain, interrupted", &provision.UncertainError{Entry: entry, Err: context.Canceled}, exitError, "the secret is safe", "provision resume --serial 7"},
		{"occupied", &provision.RefusedError{Serial: 7, Slot: 1, Class: provision.Foreign, Err: provision.ErrOccupied}, exitRefused, "slot 1", "--overwrite foreign"},
		{"hidden serial", &provision.RefusedError{Slot: 1, Err: provision.ErrNoSerial}, exitRefused, "serial", "serial-api-visible"},
		{"not found", fmt.Errorf("person: %w", token.ErrNotFound), exitNotFound, "not found", ""},
		{"duplicate", token.ErrDuplicate, exitRefused, "exists", ""},
		{"unsettled", token.ErrUnsettled, exitRefused, "unfinished", "provision resume"},
		{"newer store", token.ErrNewer, exitError, "newer version", "newer tokendesk"},
		{"wrong key", token.ErrWrongKey, exitIntegrity, "sealing key", "--key FILE"},
		{"full disk", fmt.Errorf("seal entry 1: %w", token.ErrFull), exitError, "no space left", "make room"},
		{"damaged store", token.ErrIntegrity, exitIntegrity, "contradict", "audit verify"},
		{"impossible transition", &token.TransitionError{From: token.Revoked, Event: token.Restore}, exitRefused, "revoked", ""},
		{"blocked", &token.TransitionError{From: token.Lost, Event: token.Issue}, exitRefused, "lost", "token restore"},
		{"pending", &token.TransitionError{From: token.Pending, Event: token.Issue}, exitRefused, "pending", "token verify"},
		{"in stock", &token.TransitionError{From: token.InStock, Event: token.Prove}, exitRefused, "in_stock", "token issue"},
		{"held", fmt.Errorf("issue: %w", desk.ErrHeld), exitRefused, "somebody else holds it", "token return"},
		{"no undo", &desk.UndoError{Cause: "somebody else made it"}, exitRefused, "somebody else", "token restore"},
		{"locked", &desk.LockedError{}, exitVerify, "too many wrong codes", ""},
		{"seed is here", &desk.SeedError{Cause: "this seed is here under another name"}, exitRefused, "another name", ""},
		{"no clock", desk.ErrNoClock, exitRefused, "no TOTP", ""},
		{"ambiguous", &desk.AmbiguousError{Tokens: []token.Token{{Serial: 1}, {Serial: 2}}}, exitAmbiguous, "2 tokens fit", "serial 2"},
		{"row", &keyfile.RowError{Format: "ksm", Line: 3, Column: 2, Field: "public-id", Cause: "is no ModHex"}, exitUsage, "line 3, column 2", ""},
		{"loss", &keyfile.LossError{Format: "pskc", Token: "7", Loss: keyfile.Fatal("kind", "cannot")}, exitRefused, "token 7", "keyfile formats"},
		{"joined", errors.Join(errors.New("one"), errors.New("two")), exitError, "one; two", ""},
	} {
		x := explain(tc.err)
		hints := strings.Join(x.hints, "\n")
		if x.code != tc.code || !strings.Contains(x.line, tc.line) || strings.Contains(x.line, "\n") ||
			!strings.Contains(hints, tc.hint) || tc.hint == "" && hints != "" {
			t.Errorf("%s: %d %q %q, want %d %q %q", tc.name, x.code, x.line, hints, tc.code, tc.line, tc.hint)
		}
	}
}

// TestExplainSentinels: no cause that the packages below export for callers to branch on is left without a row.
func TestExplainSentinels(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		token.ErrNotFound, token.ErrDuplicate, token.ErrUnsettled, token.ErrConflict, token.ErrNewer, token.ErrWrongKey, token.ErrFull, token.ErrIntegrity,
	} {
		x := explained{}
		if !explainKinds(fmt.Errorf("op: %w", err), &x) {
			t.Errorf("%v is not explained", err)
		}
	}
}

// TestDataDir: each system's own place.
func TestDataDir(t *testing.T) {
	t.Parallel()
	env := map[string]string{"HOME": "/home/ada"}
	for _, tc := range []struct{ goos, name, value, want string }{
		{"linux", "XDG_DATA_HOME", "/data", "/data/tokendesk"},
		{"linux", "XDG_DATA_HOME", "relative", "/home/ada/.local/share/tokendesk"},
		{"darwin", "", "", "/home/ada/Library/Application Support/tokendesk"},
		{"windows", "LocalAppData", "C:/ada", "C:/ada/tokendesk"},
		{"windows", "LocalAppData", "", ""},
	} {
		got := dataDir(tc.goos, func(name string) string {
			if name == tc.name {
				return tc.value
			}
			return env[name]
		})
		if got != tc.want {
			t.Errorf("%s %s=%q: %q, want %q", tc.goos, tc.name, tc.value, got, tc.want)
		}
	}
}
