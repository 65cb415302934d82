package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/usbhid"
)

// health is how a check ended.
type health string

// The values.
const (
	healthOK   health = "OK"
	healthWarn health = "WARN" // works, or nothing to check; worth knowing
	healthFail health = "FAIL"
)

// finding is one row of doctor.
type finding struct {
	Check  string   `json:"check"`
	State  health   `json:"state"`
	Detail string   `json:"detail"`
	Next   []string `json:"next,omitempty"` // what to do
	code   exitCode
}

// fail makes a FAIL row of an error.
func fail(check string, err error) finding {
	x := explain(err)
	return finding{check, healthFail, x.line, x.hints, x.code}
}

func newDoctorCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Check USB rights, drivers, smart cards, clock and store, and say what to do", Args: args(0, 0, ""),
		Long: `Check USB rights, drivers, smart cards, clock and store, and say what to do next.

A keyboard that a killed program left without driver is re-attached. Each key with an OTP interface is opened for a
moment by its keyboard interface, by every transport of this build that has it. Smart cards are listed, not opened.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows := a.examine(cmd.Context())
			if err := list(a, "checks", rows, []column[finding]{
				{"Check", func(f finding) string { return f.Check }},
				{"State", func(f finding) string { return string(f.State) }},
				{"Detail", func(f finding) string { return f.Detail }},
			}); err != nil {
				return err
			}
			return a.advise(rows)
		},
	}
}

// advise says what to do about each row that has advice, and fails with the first failure's code.
func (a *app) advise(rows []finding) error {
	code := exitDone
	for _, r := range rows {
		if r.State == healthFail && code == exitDone {
			code = r.code
		}
		if len(r.Next) > 0 && a.format == "table" {
			a.say("\n%s:\n  %s", r.Check, strings.ReplaceAll(strings.Join(r.Next, "\n"), "\n", "\n  "))
		}
	}
	if code == exitDone {
		return nil
	}
	return &problem{line: "something does not work yet", code: code}
}

func (a *app) examine(ctx context.Context) []finding {
	rows := a.examineUSB(ctx)
	rows = append(rows, a.examineCards(ctx)...)
	rows = append(rows, a.examineClock())
	return append(rows, a.examineStore(ctx)...)
}

func (a *app) examineUSB(ctx context.Context) []finding {
	rows := a.examineDrivers()
	keys, err := a.bus.find()
	if err != nil {
		return append(rows, fail("USB", err))
	}
	if len(keys) == 0 {
		return append(rows, a.examineRule(false),
			finding{"Keys", healthWarn, "no YubiKey is attached", []string{"plug one in, and run this again to check access to it"}, exitDone})
	}
	denied := false
	for _, k := range keys {
		if k.Reader != "" { // among the smart cards
			continue
		}
		if !k.OTP {
			rows = append(rows, finding{"Key " + k.Path, healthWarn, fmt.Sprintf("%s: no OTP interface (%s)", a.mark(productName(k)), k.Model.Interfaces), nil, exitDone})
			continue
		}
		for _, t := range []transport{viaLibusb, viaHidraw} {
			row, ok := a.examineAccess(ctx, k, t)
			if ok {
				rows = append(rows, row)
				denied = denied || row.State == healthFail
			}
		}
	}
	return append(rows, a.examineRule(denied))
}

// examineDrivers re-attaches what a killed program left behind, and reports each such key.
func (a *app) examineDrivers() []finding {
	done, err := a.bus.reattach()
	if err != nil {
		return []finding{fail("Drivers", err)}
	}
	var rows []finding
	for _, d := range done {
		check := "Driver of " + d.Key.Path
		switch {
		case d.Err == nil:
			rows = append(rows, finding{check, healthOK, "the keyboard had lost its driver and has it back", nil, exitDone})
		case errors.Is(d.Err, usbhid.ErrBusy):
			rows = append(rows, finding{check, healthWarn, "a running program holds the key", nil, exitDone})
		default:
			row := fail(check, d.Err)
			row.Next = append(row.Next, "or unplug the key and plug it in again")
			rows = append(rows, row)
		}
	}
	if rows == nil {
		rows = append(rows, finding{"Drivers", healthOK, "no keyboard has lost its driver", nil, exitDone})
	}
	return rows
}

// examineAccess opens one key by one transport. Not ok: the transport is not part of this build.
func (a *app) examineAccess(ctx context.Context, k usbhid.Attached, t transport) (row finding, ok bool) {
	check := fmt.Sprintf("Key %s, %s", k.Path, t)
	opened, err := openKey(ctx, a, k, t)
	switch {
	case errors.Is(err, usbhid.ErrNotBuiltIn):
		return finding{}, false
	case errors.Is(err, usbhid.ErrPermission):
		row = fail(check, err)
		row.Next = nil // the rule's own row says it once
		return row, true
	case err != nil:
		return fail(check, err), true
	}
	defer opened.close()
	return finding{check, healthOK, fmt.Sprintf("%s, serial %s, firmware %v", a.mark(productName(k)), shown(opened.serial.String()), opened.version()), nil, exitDone}, true
}

func shown(s string) string {
	if s == "" {
		return "hidden"
	}
	return s
}

// examineRule looks for the udev rule, where the system has udev.
func (a *app) examineRule(denied bool) finding {
	row := finding{Check: "udev rule", State: healthOK, Detail: usbhid.UdevRulePath}
	installed, needed := a.bus.udevRule()
	switch {
	case !needed:
		row.Detail = "not needed on this system"
	case installed:
	case denied:
		row.State, row.code, row.Detail, row.Next = healthFail, exitDevice, "missing", udevHints(usbhid.UdevRule)
	default:
		row.State, row.Detail, row.Next = healthWarn, "missing; only this user or the rules of others give access", udevHints(usbhid.UdevRule)
	}
	return row
}

// earliest is before the first release: a clock that shows less was never set.
func earliest() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

func (a *app) examineClock() finding {
	now := a.now()
	row := finding{Check: "Clock", State: healthOK, Detail: now.UTC().Format(time.RFC3339)}
	if now.Before(earliest()) || now.After(earliest().AddDate(50, 0, 0)) {
		row.State, row.code, row.Next = healthFail, exitError, []string{"set the clock: counters, codes and the audit chain carry its time"}
		return row
	}
	c := a.clock()
	if row.Detail += ", " + c.String(); !c.good() {
		row.State, row.Next = healthWarn, []string{"run a time service, such as chrony or systemd-timesyncd: codes by time are judged by this clock"}
	}
	return row
}

// examineMode checks that only the owner reaches a file.
func examineMode(path string) finding {
	row := finding{Check: "File " + filepath.Base(path), State: healthOK, Detail: "only its owner has access"}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fail(row.Check, err)
	case !fileMode600(info):
		row.State, row.code, row.Detail = healthFail, exitError, fmt.Sprintf("mode %04o: others have access", info.Mode().Perm())
		row.Next = []string{"chmod go= " + path}
	}
	return row
}
