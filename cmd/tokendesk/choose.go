package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
)

// choice is how the operator picks a key: flags of every command that opens one.
type choice struct {
	serial    uint32
	transport string
}

func (c *choice) flags(cmd *cobra.Command, a *app) {
	f := cmd.Flags()
	serialFlag(cmd, a, &c.serial)
	f.StringVar(&c.transport, "transport", string(auto), "way to the key: "+transports)
	completeTransport(cmd)
}

// serialFlag adds --serial, which offers the keys that are attached.
func serialFlag(cmd *cobra.Command, a *app, into *uint32) {
	cmd.Flags().Uint32Var(into, "serial", 0, "serial number of the key, when several are attached")
	err := cmd.RegisterFlagCompletionFunc("serial", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return a.attachedSerials(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil { // the flag was added above
		panic(err)
	}
}

// attachedSerials are the serials that can be read without waiting; for completion, so errors give less.
func (a *app) attachedSerials(ctx context.Context) []string {
	var serials []string
	list, _ := a.bus.find()
	for _, s := range a.survey(ctx, list, auto) {
		if s.Serial != 0 {
			serials = append(serials, s.Serial.String())
		}
	}
	return serials
}

// open picks the key and opens it. Without --serial there must be exactly one with an OTP interface. The caller closes.
func (c *choice) open(ctx context.Context, a *app) (*key, error) {
	t := transport(c.transport)
	if err := t.check(); err != nil {
		return nil, err
	}
	a.giveBack()
	all, err := a.attached(ctx, t)
	if err != nil {
		return nil, err
	}
	usable := a.reached(all, t)
	switch {
	case len(usable) == 0:
		return nil, nothingUsable(all, t)
	case c.serial != 0:
		return c.find(ctx, a, usable, t)
	case len(usable) > 1:
		return nil, severalKeys(a.survey(ctx, usable, t))
	}
	return a.openSaid(ctx, usable[0], t)
}

// reached are the keys that a way reaches.
func (a *app) reached(all []usbhid.Attached, t transport) (out []usbhid.Attached) {
	for _, k := range all {
		if a.reaches(t, k) {
			out = append(out, k)
		}
	}
	return out
}

// openSaid is openKey, and says when a key is reached otherwise than one would think.
func (a *app) openSaid(ctx context.Context, at usbhid.Attached, t transport) (*key, error) {
	k, err := openKey(ctx, a, at, t)
	if err == nil && k.denied != nil {
		a.say("note: %s; the key is used as a smart card instead", explain(k.denied).line)
	}
	return k, err
}

// completeTransport offers the values of --transport.
func completeTransport(cmd *cobra.Command) {
	complete(cmd, "transport", string(auto), string(viaLibusb), string(viaHidraw), string(viaCCID))
}

// find opens one key after the other until the serial fits. A key that cannot be opened is passed over, and reported
// only if none fits.
func (c *choice) find(ctx context.Context, a *app, usable []usbhid.Attached, t transport) (*key, error) {
	want := token.Serial(c.serial)
	var failed error
	var hidden []string // ports of keys that do not tell
	for _, u := range usable {
		k, err := a.openSaid(ctx, u, t)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if k.serial == want {
			return k, nil
		}
		if k.serial == 0 {
			hidden = append(hidden, u.Path)
		}
		k.close()
	}
	if failed != nil && ctx.Err() == nil && len(usable) == 1 {
		return nil, failed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := problemf(exitNotFound, "no key with serial number %s is attached", want).hint("see what is: tokendesk device list")
	if len(hidden) > 0 {
		p = p.hint("it may be the key at %s, which hides its serial number; to look at that one, attach it alone and leave --serial out",
			strings.Join(hidden, ", "))
	}
	if failed != nil {
		p = p.hint("not opened: %s", explain(failed).line)
	}
	return nil, p
}

// nothingUsable says why a way reaches none of the attached keys.
func nothingUsable(all []usbhid.Attached, t transport) error {
	if len(all) == 0 {
		return problemf(exitNotFound, "no YubiKey is attached").
			hint("plug one in; if it is: tokendesk doctor says what the system sees")
	}
	has := all[0].Model.Interfaces
	if t == viaCCID {
		return problemf(exitDevice, "the attached key is no smart card (%s: %s)", all[0].Path, has).hint("take another way: --transport auto")
	}
	if all[0].Reader != "" && t != auto {
		return problemf(exitDevice, "the attached key is seen as a smart card alone (%s)", all[0].Path).hint("take that way: --transport ccid")
	}
	p := problemf(exitDevice, "the OTP interface of the attached key is off (%s: %s)", all[0].Path, has)
	if all[0].Model.Family == usbhid.FamilySecurityKey {
		p.line = fmt.Sprintf("the attached key has no OTP interface (%s: %s)", all[0].Path, all[0].Model.Family)
		return p.hint("a FIDO-only Security Key cannot hold one-time passwords: use a YubiKey with OTP")
	}
	return p.hint("%s", switchOn(all[0], "otp"))
}

// switchOn says how an application of a key that cannot be reached is switched on.
func switchOn(k usbhid.Attached, app string) string {
	if k.Model.Interfaces.Has(usbhid.OTP) || k.Model.Interfaces.Has(usbhid.CCID) {
		return "switch it on: tokendesk device config --enable " + app
	}
	return fmt.Sprintf("only a tool that speaks FIDO switches it on (ykman config usb --enable %s); a Security Key has none", strings.ToUpper(app))
}

func severalKeys(seen []surveyed) error {
	var lines []string
	for _, s := range seen {
		line := fmt.Sprintf("--serial %-10s %s at %s", s.Serial, s.Product, s.Path)
		if s.Serial == 0 {
			line = fmt.Sprintf("(no serial: %s) %s at %s", s.Note, s.Product, s.Path)
		}
		lines = append(lines, line)
	}
	return problemf(exitAmbiguous, "%d keys are attached, and only one can be meant", len(seen)).
		hint("name it:\n%s", strings.Join(lines, "\n"))
}

// giveBack returns keyboards that a killed program left without driver, and says so. Problems are left to doctor.
func (a *app) giveBack() {
	done, err := a.bus.reattach()
	if err != nil {
		return
	}
	for _, d := range done {
		switch {
		case d.Err == nil:
			a.say("the keyboard of the key at %s had lost its driver and has it back", d.Key.Path)
		case !errors.Is(d.Err, usbhid.ErrBusy):
			a.say("the keyboard of the key at %s has no driver: %v", d.Key.Path, d.Err)
		}
	}
}
