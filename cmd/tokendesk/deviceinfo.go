package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// described is what device info shows.
type described struct {
	Serial      token.Serial `json:"serial,omitempty"`
	Model       string       `json:"model"`
	Product     string       `json:"product"`
	PartNumber  string       `json:"part_number,omitempty"`
	Firmware    string       `json:"firmware"`
	FormFactor  string       `json:"form_factor,omitempty"`
	FIPS        bool         `json:"fips"`
	Path        string       `json:"path"`
	Interfaces  string       `json:"interfaces"`
	Way         string       `json:"way"` // how it was asked
	Slot1       string       `json:"slot_1"`
	Slot2       string       `json:"slot_2"`
	USBEnabled  string       `json:"usb_enabled,omitempty"`
	USBDisabled string       `json:"usb_disabled,omitempty"`
	NFCEnabled  string       `json:"nfc_enabled,omitempty"`
	NFCDisabled string       `json:"nfc_disabled,omitempty"`
	Locked      string       `json:"settings_locked,omitempty"`
	Known       *knownKey    `json:"store,omitempty"`
}

// knownKey is what the store knows of a key.
type knownKey struct {
	State       token.State  `json:"state,omitempty"`
	Reason      token.Reason `json:"reason,omitempty"`
	Holder      string       `json:"holder,omitempty"`
	StockNumber string       `json:"stock_number,omitempty"`
	Slots       []knownSlot  `json:"slots"`
	Accounts    []string     `json:"accounts,omitempty"`  // of the OATH application
	LockCode    string       `json:"lock_code,omitempty"` // "kept": never the code
	Kept        []string     `json:"kept,omitempty"`      // names of other secrets that guard its applications
	Genuine     string       `json:"genuine,omitempty"`

	Certificates []desk.LiveCertificate `json:"certificates,omitempty"` // that are still valid
}

// knownSlot is a live credential.
type knownSlot struct {
	Slot       token.Slot  `json:"slot"`
	Kind       token.Kind  `json:"kind"`
	PublicID   string      `json:"public_id,omitempty"`
	State      token.State `json:"state"`
	AccessCode string      `json:"access_code"` // "kept" or "none"
}

func (s knownSlot) String() string {
	text := fmt.Sprintf("%s, %s", s.Kind, s.State)
	if s.PublicID != "" {
		text = fmt.Sprintf("%s %s, %s", s.Kind, s.PublicID, s.State)
	}
	if s.AccessCode != "none" {
		text += ", access code kept"
	}
	return text
}

func newDeviceInfoCmd(a *app) *cobra.Command {
	var c choice
	cmd := &cobra.Command{
		Use: "info [SERIAL]", Short: "Show everything one key says about itself, and what the store knows of it", Args: args(0, 1, "SERIAL"),
		Example: "  tokendesk device info\n  tokendesk device info 12345678 -o json",
		RunE: func(cmd *cobra.Command, given []string) error {
			if len(given) == 1 {
				n, err := strconv.ParseUint(given[0], 10, 32)
				if err != nil || n == 0 || c.serial != 0 && uint64(c.serial) != n {
					return usagef("device info: SERIAL is one decimal number, as device list shows it")
				}
				c.serial = uint32(n)
			}
			k, err := c.openAny(cmd.Context(), a)
			if err != nil {
				return err
			}
			d, err := k.describe(cmd.Context())
			k.close() // the store may open with this very key
			if err != nil {
				return err
			}
			if d.Known, err = a.known(cmd.Context(), k.serial); err != nil {
				return err
			}
			return show(a, "device", d, describedColumns(a, d))
		},
	}
	c.flags(cmd, a)
	return cmd
}

// describedColumns are those that have something to show.
func describedColumns(a *app, d described) []column[described] {
	all := []column[described]{
		{"Serial", func(d described) string { return d.Serial.String() }},
		{"Model", func(d described) string { return a.mark(d.Model) }},
		{"Product", func(d described) string { return d.Product }},
		{"Part number", func(d described) string { return printable(d.PartNumber) }},
		{"Firmware", func(d described) string { return d.Firmware }},
		{"Form factor", func(d described) string { return d.FormFactor }},
		{"Port", func(d described) string { return d.Path }},
		{"Interfaces", func(d described) string { return d.Interfaces }},
		{"Asked as", func(d described) string { return d.Way }},
		{"Slot 1", func(d described) string { return d.Slot1 }},
		{"Slot 2", func(d described) string { return d.Slot2 }},
		{"On, USB", func(d described) string { return d.USBEnabled }},
		{"Off, USB", func(d described) string { return d.USBDisabled }},
		{"On, NFC", func(d described) string { return d.NFCEnabled }},
		{"Off, NFC", func(d described) string { return d.NFCDisabled }},
		{"Settings locked", func(d described) string { return d.Locked }},
		{"In the store", func(d described) string { return d.inStore(knownKey.stateText) }},
		{"Holder", func(d described) string { return d.inStore(func(k knownKey) string { return k.Holder }) }},
		{"Stock number", func(d described) string { return d.inStore(func(k knownKey) string { return k.StockNumber }) }},
		{"Slot 1 in the store", func(d described) string { return d.credential(1) }},
		{"Slot 2 in the store", func(d described) string { return d.credential(2) }},
		{"Accounts in the store", func(d described) string {
			return d.inStore(func(k knownKey) string { return strings.Join(k.Accounts, ", ") })
		}},
		{"Certificates in the store", func(d described) string { return d.inStore(knownKey.certificates) }},
		{"Genuine", func(d described) string { return d.inStore(func(k knownKey) string { return k.Genuine }) }},
		{"Lock code", func(d described) string { return d.inStore(func(k knownKey) string { return k.LockCode }) }},
		{"Kept in the store", func(d described) string {
			return d.inStore(func(k knownKey) string { return strings.Join(k.Kept, ", ") })
		}},
	}
	if a.format != "table" {
		return all
	}
	var filled []column[described]
	for _, c := range all {
		if c.show(d) != "" {
			filled = append(filled, c)
		}
	}
	return filled
}

// stateText is as in token show.
func (k knownKey) stateText() string { return tokenRow{State: k.State, Reason: k.Reason}.stateText() }

// certificates are those that are still valid, in words.
func (k knownKey) certificates() string {
	var list []string
	for _, c := range k.Certificates {
		list = append(list, fmt.Sprintf("%s of %s in slot %s", c.Number, c.Issuer, c.Slot))
	}
	return strings.Join(list, ", ")
}

func (d described) inStore(part func(knownKey) string) string {
	if d.Known == nil {
		return ""
	}
	return part(*d.Known)
}

func (d described) credential(slot token.Slot) string {
	if d.Known != nil {
		for _, s := range d.Known.Slots {
			if s.Slot == slot {
				return s.String()
			}
		}
	}
	return ""
}

// describe asks for device information too, which firmware before 4.1 does not have.
func (k *key) describe(ctx context.Context) (described, error) {
	d := described{
		Serial: k.serial, Product: productName(k.attached), Firmware: k.version().String(), Path: k.attached.Path, Way: "keyboard (HID)",
		Interfaces: k.attached.Model.Interfaces.String(), Slot1: k.slotState(ykslot.Slot1), Slot2: k.slotState(ykslot.Slot2),
	}
	if k.dev == nil {
		d.Way = "smart card (CCID)"
	}
	info, err := k.session.DeviceInfo(ctx)
	var old *ykslot.UnsupportedError
	if err != nil && !errors.As(err, &old) {
		return d, err
	}
	d.Model = modelName(k.version(), info, k.attached.Model)
	if err != nil {
		return d, nil
	}
	enabled := enabledOnUSB(k.version(), info, k.attached.Model)
	d.PartNumber, d.FIPS, d.FormFactor, d.Locked = info.PartNumber, info.FIPS, info.FormFactor.String(), "no"
	d.USBEnabled, d.USBDisabled = enabled.String(), (info.USBSupported &^ enabled).String()
	d.NFCEnabled, d.NFCDisabled = info.NFCEnabled.String(), (info.NFCSupported &^ info.NFCEnabled).String()
	if info.Locked {
		d.Locked = "yes, by a lock code"
	}
	return d, nil
}

// enabledOnUSB are the applications that are on. Firmware 4 does not say so, but its interfaces do. Source: reference yubikey-otp.md §7.2.
func enabledOnUSB(v ykslot.Version, info ykslot.DeviceInfo, m usbhid.Model) ykslot.Capability {
	if v.Major >= 5 {
		return info.USBEnabled
	}
	on := info.USBSupported
	if !m.Interfaces.Has(usbhid.OTP) {
		on &^= ykslot.CapOTP
	}
	if !m.Interfaces.Has(usbhid.FIDO) {
		on &^= ykslot.CapU2F | ykslot.CapFIDO2
	}
	if !m.Interfaces.Has(usbhid.CCID) {
		on &= ykslot.CapOTP | ykslot.CapU2F | ykslot.CapFIDO2
	}
	return on
}

// known is what the store knows of a key; nil without a store, or of a key that it has never seen.
func (a *app) known(ctx context.Context, serial token.Serial) (*knownKey, error) {
	if serial == 0 {
		return nil, nil
	}
	st, err := a.openStore(ctx)
	if err != nil {
		var p *problem
		if !errors.As(err, &p) || p.code != exitNotFound {
			a.say("note: what the store knows is left out: %s", explain(err).line)
		}
		return nil, nil
	}
	defer func() { _ = st.Close() }()
	out := &knownKey{Slots: []knownSlot{}}
	tok, live, err := st.Slots(ctx, serial)
	if err != nil && !errors.Is(err, token.ErrNotFound) {
		return nil, err
	}
	unseen := err != nil
	out.State, out.Reason, out.StockNumber = tok.State, tok.Reason, tok.StockNumber
	if tok.Holder != nil {
		out.Holder = tok.Holder.Account
	}
	for _, c := range live {
		c.Secrets.Destroy()
		if id := c.Settings.Account; id != "" {
			out.Accounts = append(out.Accounts, printable(id))
			continue
		}
		s := knownSlot{Slot: c.Slot, Kind: c.Kind, PublicID: c.TypedID(), State: c.State, AccessCode: "none"}
		if c.Settings.HasAccessCode {
			s.AccessCode = "kept"
		}
		out.Slots = append(out.Slots, s)
	}
	kinds, err := st.Escrowed(ctx, serial)
	if err != nil {
		return nil, err
	}
	if slices.Contains(kinds, token.LockCode) {
		out.LockCode = "kept"
	}
	out.Kept = escrowNames(slices.DeleteFunc(slices.Clone(kinds), func(k token.EscrowKind) bool { return k == token.LockCode }))
	remains, err := a.desk(st).Remains(ctx, token.Token{Serial: serial}) // a key may have one that nobody was given
	if err != nil {
		return nil, err
	}
	out.Certificates = shownRemains(remains).Certificates
	proof, err := st.Attestation(ctx, serial)
	if err != nil && !errors.Is(err, token.ErrNotFound) {
		return nil, err
	}
	if out.Genuine = attestText(proof); unseen && len(kinds)+len(out.Certificates) == 0 && out.Genuine == "" {
		return nil, nil
	}
	return out, nil
}

func destroyEscrows(list []token.Escrow) {
	for _, e := range list {
		e.Secret.Destroy()
	}
}
