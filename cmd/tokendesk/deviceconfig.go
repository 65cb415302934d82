package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
	"github.com/tokendesk/tokendesk/ykslot"
)

// apps are the applications by their names in --enable and --disable.
var apps = []struct {
	name string
	bits ykslot.Capability
}{
	{"otp", ykslot.CapOTP}, {"u2f", ykslot.CapU2F}, {"fido2", ykslot.CapFIDO2}, {"fido", ykslot.CapU2F | ykslot.CapFIDO2},
	{"oath", ykslot.CapOATH}, {"piv", ykslot.CapPIV}, {"openpgp", ykslot.CapOpenPGP}, {"hsmauth", ykslot.CapHSMAuth}, {"ccid", ykslot.CapCCID},
}

func appNames() []string {
	var names []string
	for _, n := range apps {
		names = append(names, n.name)
	}
	return names
}

// parseApps reads names of applications.
func parseApps(flag string, names []string) (c ykslot.Capability, err error) {
next:
	for _, n := range names {
		for _, known := range apps {
			if strings.EqualFold(strings.TrimSpace(n), known.name) {
				c |= known.bits
				continue next
			}
		}
		return 0, usagef("%s: there is no application %q", flag, printable(n)).hint("there are: %s", strings.Join(appNames(), ", "))
	}
	return c, nil
}

// configOptions are the flags of device config.
type configOptions struct {
	choice
	enable, disable []string
	usb, nfc        bool
	lock            string
	yes, dryRun     bool
}

func newDeviceConfigCmd(a *app) *cobra.Command {
	var o configOptions
	cmd := &cobra.Command{
		Use: "config", Short: "Switch a key's applications on and off, and lock its settings", Args: args(0, 0, ""),
		Long: `Switch a key's applications on and off, on USB unless --nfc is given, and guard its settings by a lock code.

What will change is shown first and asked about. A lock code is drawn at random and kept, sealed, in the store before the key gets
it; from then on it is used by itself. Without it a key's settings stay as they are for ever.

A key of firmware 5 restarts when applications change on USB, and is found again by its serial number. Keys of firmware 3 and 4 switch
whole interfaces (otp, fido, ccid), which takes effect when they are plugged in again.`,
		Example: `  tokendesk device config --disable fido,openpgp --lock-code set
  tokendesk device config --serial 12345678 --enable piv --nfc
  tokendesk device config --disable otp --dry-run`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDeviceConfig(cmd.Context(), a, o) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.enable, "enable", nil, "applications to switch on: "+strings.Join(appNames(), ", "))
	f.StringSliceVar(&o.disable, "disable", nil, "applications to switch off")
	f.BoolVar(&o.usb, "usb", false, "on USB (the default)")
	f.BoolVar(&o.nfc, "nfc", false, "over NFC")
	f.StringVar(&o.lock, "lock-code", string(provision.KeepLock), "set (a fresh one, kept in the store), remove, or keep")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would change, change nothing")
	complete(cmd, "enable", appNames()...)
	complete(cmd, "disable", appNames()...)
	complete(cmd, "lock-code", string(provision.SetLock), string(provision.RemoveLock), string(provision.KeepLock))
	o.choice.flags(cmd, a)
	return cmd
}

// spec turns the flags into what the operator wants.
func (o configOptions) spec() (s provision.SettingsSpec, err error) {
	if s.Enable, err = parseApps("--enable", o.enable); err != nil {
		return s, err
	}
	if s.Disable, err = parseApps("--disable", o.disable); err != nil {
		return s, err
	}
	s.USB, s.NFC, s.Lock = o.usb || !o.nfc, o.nfc, provision.LockMode(o.lock)
	switch s.Lock {
	case provision.KeepLock, provision.SetLock, provision.RemoveLock:
	default:
		return s, usagef("--lock-code is set, remove or keep; the code itself is never a flag")
	}
	if s.Enable|s.Disable == 0 && s.Lock == provision.KeepLock {
		return s, usagef("device config: say what is to change: --enable, --disable or --lock-code").hint("what is: tokendesk device info")
	}
	return s, nil
}

func runDeviceConfig(ctx context.Context, a *app, o configOptions) error {
	want, err := o.spec()
	if err != nil {
		return err
	}
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	k, err := o.choice.openAny(ctx, a)
	if err != nil {
		return err
	}
	defer func() { k.close() }()
	have, err := settingsOf(ctx, st, k)
	defer destroyEscrows(have.Codes)
	if err != nil {
		return err
	}
	p, err := provision.PlanSettings(want, have)
	if err != nil {
		return err
	}
	if !p.Changes {
		a.say("%s has these settings already; nothing was changed", k.name())
		return showSettings(a, k, p, &have.Info)
	}
	if err := a.guardSettings(ctx, k, p); err != nil {
		return err
	}
	a.saySettings(k, p)
	if o.dryRun {
		a.say("dry run: nothing was changed")
		return showSettings(a, k, p, nil)
	}
	if err := a.confirm(ctx, o.yes, "change the settings of "+k.name()); err != nil {
		return err
	}
	r := provision.SettingsRunner{Codes: st, Rand: a.rand, Again: func(ctx context.Context) (provision.SettingsDevice, error) {
		again, err := o.choice.again(ctx, a, k)
		if err != nil {
			return nil, err
		}
		k = again
		return k.session, nil
	}}
	info, err := r.Run(ctx, k.session, p)
	if err != nil {
		return err
	}
	return showSettings(a, k, p, &info)
}

// settingsOf asks key and store what a plan starts from. The caller destroys the codes.
func settingsOf(ctx context.Context, st *sqlstore.Store, k *key) (provision.SettingsHave, error) {
	have := provision.SettingsHave{Serial: k.serial, Version: k.version(), Model: k.attached.Model}
	var old *ykslot.UnsupportedError
	var err error
	if have.Info, err = k.session.DeviceInfo(ctx); err != nil && !errors.As(err, &old) {
		return have, err
	}
	if have.Info.Serial != 0 {
		have.Serial = token.Serial(have.Info.Serial)
	}
	if have.Serial == 0 {
		return have, nil
	}
	_, live, err := st.Slots(ctx, have.Serial)
	if err != nil && !errors.Is(err, token.ErrNotFound) {
		return have, err
	}
	for _, c := range live {
		c.Secrets.Destroy()
		have.Guarded = have.Guarded || c.Settings.HasAccessCode
	}
	have.Codes, err = st.Escrows(ctx, have.Serial, token.LockCode)
	return have, err
}

// saySettings says what will change.
func (a *app) saySettings(k *key, p provision.SettingsPlan) {
	a.say("%s (%s, firmware %v):", k.name(), a.mark(printable(productName(k.attached))), k.version())
	for _, row := range []struct {
		where         string
		before, after ykslot.Capability
	}{{"USB", p.USB, p.USBAfter}, {"NFC", p.NFC, p.NFCAfter}} {
		if on := row.after &^ row.before; on != 0 {
			a.say("  on %s, switched on:  %v", row.where, on)
		}
		if off := row.before &^ row.after; off != 0 {
			a.say("  on %s, switched off: %v", row.where, off)
		}
	}
	switch {
	case p.Lock == provision.SetLock && p.Locked:
		a.say("  the lock code is replaced")
	case p.Lock == provision.SetLock:
		a.say("  the settings are locked by a lock code")
	case p.Lock == provision.RemoveLock && p.Locked:
		a.say("  the lock code is removed")
	}
	for _, n := range p.Notes {
		a.say("note: %s", n)
	}
}

// settled is a key's settings as device config shows them.
type settled struct {
	Serial     token.Serial `json:"serial"`
	USBEnabled string       `json:"usb_enabled"`
	NFCEnabled string       `json:"nfc_enabled,omitempty"`
	Locked     bool         `json:"settings_locked"`
	Product    string       `json:"product_id"`
	Pending    string       `json:"takes_effect,omitempty"` // when; "": now
}

// showSettings shows what a key has now; info is nil where it would have it, and was not changed.
func showSettings(a *app, k *key, p provision.SettingsPlan, info *ykslot.DeviceInfo) error {
	s := settled{
		Serial: p.Serial, USBEnabled: p.USBAfter.String(), NFCEnabled: p.NFCAfter.String(), Locked: p.LockedAfter,
		Product: fmt.Sprintf("%04x", p.ModelAfter.ProductID),
	}
	switch {
	case p.Mode != nil && p.Changes:
		s.Pending = "when the key is plugged in again"
	case info == nil:
	case p.Unreachable && p.Changes:
		a.say("the key restarts without an interface that could be asked; what it has now was not read back")
	case p.Changes:
		s.USBEnabled, s.NFCEnabled, s.Locked = info.USBEnabled.String(), info.NFCEnabled.String(), info.Locked
		s.Product = fmt.Sprintf("%04x", k.attached.Model.ProductID)
	}
	return show(a, "settings", s, []column[settled]{
		{"Serial", func(s settled) string { return s.Serial.String() }},
		{"On, USB", func(s settled) string { return s.USBEnabled }},
		{"On, NFC", func(s settled) string { return s.NFCEnabled }},
		{"Settings locked", func(s settled) string { return map[bool]string{true: "yes", false: "no"}[s.Locked] }},
		{"Product ID", func(s settled) string { return s.Product }},
		{"Takes effect", func(s settled) string { return s.Pending }},
	})
}

// How long a key that restarts is looked for: it leaves USB at once and is back in a second or two; pcscd needs another.
const (
	againTries = 60
	againPause = 250 * time.Millisecond
)

// again finds a key that restarted by its serial number: its product ID, port number and reader may be others now.
func (c *choice) again(ctx context.Context, a *app, k *key) (*key, error) {
	k.close()
	by := choice{serial: uint32(k.serial), transport: c.transport}
	if by.transport != string(viaCCID) {
		by.transport = string(auto) // its keyboard interface may be what was switched off
	}
	var err error
	for range againTries {
		var again *key
		if again, err = by.openAny(ctx, a); err == nil {
			return again, nil
		}
		if err := a.pause(ctx, againPause); err != nil {
			return nil, err
		}
	}
	return nil, problemf(exitDevice, "%s did not come back after it restarted", k.name()).
		hint("plug it in again and look: tokendesk device info --serial %s", k.serial).hint("last seen: %s", explain(err).line)
}
