package provision

import (
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// LockMode says what becomes of the code that guards a key's settings.
type LockMode string

// The values of `device config --lock-code`.
const (
	KeepLock   LockMode = "keep"
	SetLock    LockMode = "set"    // a fresh random one, escrowed
	RemoveLock LockMode = "remove" // none
)

// SettingsSpec is what the operator wants of a key's applications.
type SettingsSpec struct {
	Enable, Disable ykslot.Capability
	USB, NFC        bool // where
	Lock            LockMode
}

// SettingsHave is what the key and the store say.
type SettingsHave struct {
	Serial  token.Serial
	Version ykslot.Version
	Model   usbhid.Model
	Info    ykslot.DeviceInfo // zero before firmware 4.1
	Codes   []token.Escrow    // that the key may have
	Guarded bool              // the store knows an access code of one of its slots
}

// SettingsPlan is what will be done to the settings.
type SettingsPlan struct {
	Serial               token.Serial
	USB, USBAfter        ykslot.Capability
	NFC, NFCAfter        ykslot.Capability
	Model, ModelAfter    usbhid.Model
	Mode                 *ykslot.USBMode // firmware 3 and 4: whole interfaces, from the next plugging in on
	Lock                 LockMode
	Locked, LockedAfter  bool
	Codes                []token.Escrow
	Notes                []string // what the operator should know before
	Changes, Unreachable bool     // something is to do; afterwards nothing here reaches the key
}

// Restarts reports whether the key leaves USB and comes back by itself.
func (p SettingsPlan) Restarts() bool { return p.Mode == nil && p.USB != p.USBAfter }

// The reasons to refuse new settings, beside ykslot's version errors.
var (
	ErrLockUnknown  = errors.New("the key's settings are locked by a code that this store does not know")
	ErrNotSupported = errors.New("the key does not have this application there")
	ErrNothingLeft  = errors.New("a key without any application on USB could never be reached again")
	ErrLockedOut    = errors.New("with a lock code, and with neither OTP nor a smart card on USB, its settings could never be changed again")
	ErrWholeOnly    = errors.New("keys of firmware 3 and 4 switch whole interfaces only")
	ErrGuarded      = errors.New("a slot has an access code, and keys of firmware 3 and 4 refuse another mode while one is set")
)

// The applications of each interface on USB. Source: reference yubikey-otp.md §7.2, §9.3.
const (
	fidoApps = ykslot.CapU2F | ykslot.CapFIDO2
	cardApps = ykslot.CapCCID | ykslot.CapOpenPGP | ykslot.CapPIV | ykslot.CapOATH | ykslot.CapHSMAuth
)

func interfacesOf(c ykslot.Capability) (i usbhid.Interfaces) {
	if c&ykslot.CapOTP != 0 {
		i |= usbhid.OTP
	}
	if c&fidoApps != 0 {
		i |= usbhid.FIDO
	}
	if c&cardApps != 0 {
		i |= usbhid.CCID
	}
	return i
}

// appsOf is interfacesOf backwards, for keys that switch whole interfaces.
func appsOf(i usbhid.Interfaces) (c ykslot.Capability) {
	if i.Has(usbhid.OTP) {
		c |= ykslot.CapOTP
	}
	if i.Has(usbhid.FIDO) {
		c |= ykslot.CapU2F
	}
	if i.Has(usbhid.CCID) {
		c |= ykslot.CapCCID
	}
	return c
}

// PlanSettings decides. It reads no device, and draws nothing. The error is a *RefusedError.
func PlanSettings(want SettingsSpec, have SettingsHave) (SettingsPlan, error) {
	p := SettingsPlan{Serial: have.Serial, Model: have.Model, Lock: want.Lock, Locked: have.Info.Locked, Codes: have.Codes}
	p.LockedAfter = want.Lock == SetLock || want.Lock == KeepLock && p.Locked
	plan := p.byApplication
	if have.Version.Major < 5 {
		plan = p.byMode
	}
	if detail, err := plan(want, have); err != nil {
		return SettingsPlan{}, &RefusedError{Serial: have.Serial, Detail: detail, Err: err}
	}
	p.note()
	return p, nil
}

// byApplication is for firmware 5, which switches single applications, on USB and NFC apart.
func (p *SettingsPlan) byApplication(want SettingsSpec, have SettingsHave) (string, error) {
	switch {
	case have.Serial == 0:
		return "it could not be found again after it restarts", ErrNoSerial
	case want.Enable&want.Disable != 0:
		return fmt.Sprintf("%v is to be switched on and off", want.Enable&want.Disable), ErrBadSpec
	}
	p.USB, p.NFC = have.Info.USBEnabled, have.Info.NFCEnabled
	p.USBAfter, p.NFCAfter = p.USB, p.NFC
	for _, on := range []struct {
		chosen    bool
		where     string
		supported ykslot.Capability
		after     *ykslot.Capability
	}{{want.USB, "USB", have.Info.USBSupported, &p.USBAfter}, {want.NFC, "NFC", have.Info.NFCSupported, &p.NFCAfter}} {
		if !on.chosen {
			continue
		}
		enable, disable := spread(want.Enable, on.supported), spread(want.Disable, on.supported)
		if lacks := (enable | disable) &^ on.supported; lacks != 0 {
			return fmt.Sprintf("%v on %s", lacks, on.where), ErrNotSupported
		}
		*on.after = *on.after&^disable | enable
	}
	p.Changes = p.USB != p.USBAfter || p.NFC != p.NFCAfter || want.Lock == SetLock || want.Lock == RemoveLock && p.Locked
	switch {
	case p.USBAfter&^ykslot.CapCCID == 0:
		return "", ErrNothingLeft
	case p.Changes && p.Locked && len(p.Codes) == 0:
		return "", ErrLockUnknown
	}
	p.ModelAfter = modelWith(have.Model, interfacesOf(p.USBAfter))
	p.Unreachable = p.USBAfter&^ykslot.CapCCID&(ykslot.CapOTP|cardApps) == 0 // the bit alone may be no interface
	if p.Changes && p.Unreachable && p.LockedAfter {
		return "nothing but FIDO would be left, and the lock code never leaves this store: take it away (--lock-code remove), or leave an application on", ErrLockedOut
	}
	return "", nil
}

// spread makes of CCID, which is no application but an interface, those that are there. The bit itself is left to the key.
func spread(c, supported ykslot.Capability) ykslot.Capability {
	if c&ykslot.CapCCID == 0 {
		return c
	}
	return c&^ykslot.CapCCID | cardApps&^ykslot.CapCCID&supported
}

// byMode is for firmware 3 and 4.
func (p *SettingsPlan) byMode(want SettingsSpec, have SettingsHave) (string, error) {
	err := ykslot.FeatureMode.Supported(have.Version)
	if want.Lock != KeepLock || want.NFC {
		err = ykslot.FeatureDeviceConfig.Supported(have.Version)
	}
	if err != nil {
		return "", err
	}
	enable, disable := interfacesOf(want.Enable), interfacesOf(want.Disable)
	switch {
	case have.Model.Family == usbhid.FamilyUnknown:
		return "over NFC it does not tell which interfaces it has on USB: plug it in", ErrBadSpec
	case enable&disable != 0:
		return fmt.Sprintf("%v is to be switched on and off", enable&disable), ErrBadSpec
	case (want.Enable|want.Disable)&^(ykslot.CapOTP|fidoApps|ykslot.CapCCID) != 0:
		return "otp, fido and ccid", ErrWholeOnly
	}
	after := have.Model.Interfaces&^disable | enable
	p.USB, p.USBAfter = appsOf(have.Model.Interfaces), appsOf(after)
	p.Changes = p.USB != p.USBAfter
	switch {
	case after == 0:
		return "", ErrNothingLeft
	case p.Changes && have.Guarded:
		return "take it away first: tokendesk slot access-code remove", ErrGuarded
	}
	p.Mode = &ykslot.USBMode{OTP: after.Has(usbhid.OTP), FIDO: after.Has(usbhid.FIDO), CCID: after.Has(usbhid.CCID)}
	p.ModelAfter = modelWith(have.Model, after)
	p.Unreachable = !after.Has(usbhid.OTP) && !after.Has(usbhid.CCID)
	return "", nil
}

// modelWith is the row of the product table for the same family with other interfaces.
func modelWith(m usbhid.Model, i usbhid.Interfaces) usbhid.Model {
	for _, row := range usbhid.Models() {
		if row.Family == m.Family && row.Interfaces == i {
			return row
		}
	}
	return usbhid.Model{Family: m.Family, Interfaces: i}
}

// note says what the operator should know.
func (p *SettingsPlan) note() {
	gone := p.Model.Interfaces &^ p.ModelAfter.Interfaces
	if gone != 0 && p.Changes {
		p.Notes = append(p.Notes, fmt.Sprintf("programs that use its %v interface lose it", gone))
	}
	if p.USB&^p.USBAfter&ykslot.CapOTP != 0 {
		p.Notes = append(p.Notes, "OTP goes: on USB it types no one-time passwords any more, and its slots cannot be written until it is switched on again")
	}
	if p.Unreachable && p.Changes {
		tool := "ykman config usb --enable OTP"
		if p.Mode != nil {
			tool = "ykman config mode OTP+FIDO+CCID"
		}
		p.Notes = append(p.Notes, fmt.Sprintf("neither OTP nor a smart card is left: only a tool that speaks FIDO brings them back (%s)", tool))
	}
	if p.Restarts() && p.Model.ProductID != p.ModelAfter.ProductID {
		p.Notes = append(p.Notes, fmt.Sprintf("the key restarts, and its product ID changes from %04x to %04x", p.Model.ProductID, p.ModelAfter.ProductID))
	}
	if p.Mode != nil && p.Changes {
		p.Notes = append(p.Notes, fmt.Sprintf("it takes effect when the key is plugged in again: product ID %04x becomes %04x", p.Model.ProductID, p.ModelAfter.ProductID))
	}
	if p.Lock == SetLock {
		p.Notes = append(p.Notes, "a fresh lock code is kept in the store; without it the settings stay as they are for ever")
	}
}
