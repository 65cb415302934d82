package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/validate/store/postgres"
	"github.com/tokendesk/tokendesk/ykslot"
)

// explained is what a person gets to see of an error.
type explained struct {
	line  string   // one line, without secrets: errors never hold any
	hints []string // what to do next
	code  exitCode
}

// explain is the one place that turns an error into a line, hints and an exit code.
func explain(err error) explained {
	var p *problem
	if unread(err) {
		return explained{code: exitError}
	}
	if errors.As(err, &p) && !leavesOpen(err, p) {
		return explained{p.line, p.hints, p.code}
	}
	x := explained{line: oneLine(err), code: exitError}
	for _, row := range []func(error, *explained) bool{explainUncertain, explainOATH, explainSlot, explainSetting, explainRefused, explainGenuine, explainPIV, explainDevice, explainFile, explainDesk, explainTarget, explainManifest, explainJournal, explainKinds} {
		if row(err, &x) {
			break
		}
	}
	return x
}

// unread reports whether nobody reads on what the program prints. A key that refuses a report and a server that hung up are EPIPE, too.
func unread(err error) bool {
	var p *fs.PathError
	return errors.Is(err, syscall.EPIPE) && errors.As(err, &p) && (p.Path == os.Stdout.Name() || p.Path == os.Stderr.Name())
}

// leavesOpen reports whether a problem is why an outcome is open, which must be said beside it.
func leavesOpen(err error, p *problem) bool {
	var entry *provision.UncertainError
	var change *provision.UnsettledError
	return errors.As(err, &entry) && errors.Is(entry.Err, p) || errors.As(err, &change) && errors.Is(change.Err, p)
}

// oneLine joins the lines of joined errors.
func oneLine(err error) string {
	return printable(strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' }), "; "))
}

// explainUncertain: something was sent to the device and its outcome is open.
func explainUncertain(err error, x *explained) bool {
	var u *provision.UncertainError
	if !errors.As(err, &u) {
		return false
	}
	cause := explain(u.Err)
	x.code = cause.code
	x.line = fmt.Sprintf("key %s, %s: not settled: %s", u.Entry.Serial, u.Entry.Place(), cause.line)
	if errors.Is(u.Err, provision.ErrNoTouch) {
		x.code = exitVerify
	}
	if errors.Is(u.Err, context.Canceled) {
		x.line = fmt.Sprintf("key %s, %s: interrupted after the write began; the secret is safe in the store", u.Entry.Serial, u.Entry.Place())
	}
	x.hints = append(cause.hints, fmt.Sprintf("finish it with the key attached: tokendesk provision resume --serial %s", u.Entry.Serial))
	if k := u.Entry.Credential.Kind; k != token.Static && k != token.ChallengeResponse { // the server has no part in these
		x.hints = append(x.hints, "until then its one-time passwords are refused")
	}
	return true
}

// explainRefused: the plan was refused by a rule.
func explainRefused(err error, x *explained) bool {
	var r *provision.RefusedError
	if !errors.As(err, &r) {
		return false
	}
	x.code, x.hints = exitRefused, slotHints(r)
	switch {
	case errors.Is(err, provision.ErrBadSpec):
		x.code = exitUsage
	case errors.Is(err, provision.ErrOccupied):
		x.hints = []string{
			fmt.Sprintf("to overwrite it for good: --overwrite %s --reason TEXT", r.Class),
			fmt.Sprintf("or use the other slot: --slot %d", 3-r.Slot),
		}
	case errors.Is(err, provision.ErrNoReason):
		x.hints = []string{"add --reason TEXT; it is kept in the audit chain"}
	case errors.Is(err, provision.ErrNoSerial):
		x.hints = []string{"a key without a visible serial number cannot be found again after an interruption",
			"make it visible in a slot: ykman otp settings, or ykpersonalize -u -1 -o serial-api-visible"}
	case errors.Is(err, provision.ErrSerialInUse):
		x.hints = []string{"draw one for this slot: --public-id random"}
	case errors.Is(err, provision.ErrTooLong):
		x.hints = []string{"if no validation server must read it: --long-public-id"}
	case errors.Is(err, provision.ErrHeld):
		x.hints = []string{"to take the key from that person: --reassign"}
	case errors.Is(err, provision.ErrBlocked):
		x.hints = []string{fmt.Sprintf("bring it back first: tokendesk token restore %s", r.Serial)}
	case errors.Is(err, provision.ErrLockUnknown):
		x.hints = []string{"the store that locked it, or a backup of it, knows the code; nobody else can change these settings",
			"whoever locked it with another program can take the code away there: ykman config set-lock-code --clear"}
	}
	return true
}

// explainDevice: the key or the way to it.
func explainDevice(err error, x *explained) bool {
	var denied *usbhid.PermissionError
	var rejected *ykslot.RejectedError
	var old *ykslot.UnsupportedError
	x.code = exitDevice
	switch {
	case explainCard(err, x):
	case errors.As(err, &denied):
		x.line = fmt.Sprintf("this user may not open %s", denied.Node)
		x.hints = udevHints(denied.Rule)
	case errors.As(err, &rejected):
		x.line = fmt.Sprintf("%s: the key (firmware %v) refused the write and holds what it held before", rejected.Slot, rejected.Before.Version)
		if rejected.Slot == 0 {
			x.line = fmt.Sprintf("the key (firmware %v) refused, and is as it was before", rejected.Before.Version)
		}
		for _, c := range rejected.Causes {
			x.hints = append(x.hints, "possible: "+c.String())
		}
		if slices.Contains(rejected.Causes, ykslot.CauseNoAccessCode) {
			x.hints = append(x.hints, fmt.Sprintf("with the code of a slot that is not ours: tokendesk slot program, settings or erase --slot %d --%s FILE", rejected.Slot, currentCodeFlag))
		}
	case errors.As(err, &old):
	case errors.Is(err, usbhid.ErrBusy):
		x.code = exitBusy
		x.line = "the key is in use by another program"
		x.hints = []string{"end the other program that uses the key, or wait for it"}
	case errors.Is(err, usbhid.ErrGone):
		x.line = "the key was pulled out before the command was done"
		x.hints = []string{"plug the key in again and repeat the command"}
	case errors.Is(err, usbhid.ErrTimeout), errors.Is(err, ykslot.ErrNotAnswering):
		x.hints = []string{"unplug the key, plug it in again and repeat the command"}
	case errors.Is(err, usbhid.ErrNoUSB):
		x.hints = []string{"keys are found on Linux below /sys/bus/usb; a container must be given it and the devices"}
	case errors.Is(err, usbhid.ErrNotBuiltIn):
		x.hints = []string{"see what is: tokendesk version"}
	case errors.Is(err, ykslot.ErrSerialHidden), errors.Is(err, ykslot.ErrProtocol), errors.Is(err, ykslot.ErrUnsettled):
	default:
		x.code = exitError
		return false
	}
	return true
}

// udevHints are the steps to give this user access, with the rule word for word.
func udevHints(rule string) []string {
	return []string{
		"write these lines to " + usbhid.UdevRulePath + ":", strings.TrimRight(rule, "\n"),
		"then run: sudo udevadm control --reload && sudo udevadm trigger, and plug the key in again",
	}
}

// explainFile: a key file that is wrong.
func explainFile(err error, x *explained) bool {
	var row *keyfile.RowError
	var loss *keyfile.LossError
	switch {
	case errors.As(err, &row):
		x.code = exitUsage
	case errors.As(err, &loss):
		x.code = exitRefused
		x.hints = []string{"another format can carry it: tokendesk keyfile formats"}
	default:
		return false
	}
	return true
}

// wayOn says what is possible with a token in a state.
func wayOn(s token.State) []string {
	switch s {
	case token.Pending:
		return []string{"prove that it has its secret: tokendesk token verify QUERY"}
	case token.InStock:
		return []string{"hand it over: tokendesk token issue QUERY --to PERSON"}
	case token.Shipped:
		return []string{"its holder shows that it arrived: tokendesk token arrive QUERY", "or end it: tokendesk token cancel-shipment QUERY"}
	case token.Suspended, token.Lost:
		return []string{"bring it back first: tokendesk token restore QUERY"}
	}
	return nil
}

// kinds are the causes that all stores and systems share.
var kinds = []struct {
	is   error
	code exitCode
	hint string
}{
	{context.Canceled, exitError, ""},
	{token.ErrNotFound, exitNotFound, ""},
	{token.ErrUnsettled, exitRefused, "settle it: tokendesk provision resume"},
	{token.ErrDuplicate, exitRefused, ""},
	{token.ErrConflict, exitError, "look at it again and repeat the command"},
	{token.ErrNewer, exitError, "use the newer tokendesk that wrote it"},
	{token.ErrMoved, exitRefused, "use the store where it is now: --store, or, if nothing was accepted there: tokendesk store reopen"},
	{token.ErrWrongKey, exitIntegrity, "name the right one: --key FILE"},
	{token.ErrFull, exitError, "make room on the disk that holds the store; nothing was lost"},
	{token.ErrIntegrity, exitIntegrity, "see: tokendesk audit verify"},
	{postgres.ErrUnreachable, exitError, "the database went away; look whether it runs, and repeat the command"},
	{postgres.ErrReadOnly, exitError, "name the primary, or several hosts and target_session_attrs=read-write"},
	{syscall.ENOSPC, exitError, "make room on that disk"},
	{fs.ErrPermission, exitError, "check the owner and mode of that file and its directory"},
}

func explainKinds(err error, x *explained) bool {
	var t *token.TransitionError
	if errors.As(err, &t) {
		x.code = exitRefused
		x.hints = wayOn(t.From)
		return true
	}
	for _, k := range kinds {
		if !errors.Is(err, k.is) {
			continue
		}
		x.code = k.code
		if k.is == context.Canceled {
			x.line = "interrupted"
		}
		if k.hint != "" {
			x.hints = append(x.hints, k.hint)
		}
		return true
	}
	return false
}
