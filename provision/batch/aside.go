package batch

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// portName is a key that does not tell its serial number: the port and the address that it has while it is plugged in.
func portName(at usbhid.Attached) string { return fmt.Sprintf("%s#%d", at.Path, at.Address) }

// AsideModel is why a key without OTP interface is put aside.
func AsideModel(m usbhid.Model) (token.Aside, string) {
	if m.Family == usbhid.FamilySecurityKey {
		return token.AsideFIDO, "a FIDO-only Security Key cannot hold one-time passwords"
	}
	return token.AsideNoOTP, "the OTP interface is switched off"
}

// asideStanding is why a key is not written, by what the store knows; "" if nothing forbids it.
func asideStanding(st token.Standing, slot token.Slot) (token.Aside, string) {
	ours := slices.ContainsFunc(st.Live, func(c token.Credential) bool { return c.Slot == slot })
	switch {
	case st.Item != nil:
		return "", ""
	case st.Other != 0:
		return token.AsideOtherBatch, fmt.Sprintf("it belongs to batch %d: hand it out as it is, or empty it first (tokendesk slot erase)", st.Other)
	case st.Entry != nil:
		return token.AsideUnsettled, "an interrupted write holds the slot: tokendesk provision resume"
	case st.Token.Holder != nil:
		return token.AsideHeld, "a person holds it"
	case st.Token.State.Blocked(), st.Token.State == token.Revoked:
		return token.AsideBlocked, "the token is " + string(st.Token.State)
	case ours:
		return token.AsideOurs, "the slot holds what this store wrote: hand the key out as it is, or empty it first (tokendesk slot erase)"
	}
	return "", ""
}

// asideOf is why a plan or a write was refused. Any other error of the way to the key is AsideSilent.
func asideOf(err error) (token.Aside, string) {
	var no *ykslot.RejectedError
	var old *ykslot.UnsupportedError
	var state *token.TransitionError
	var plan *provision.RefusedError
	switch {
	case errors.As(err, &no):
		if slices.Contains(no.Causes, ykslot.CauseAccessCode) || slices.Contains(no.Causes, ykslot.CauseNoAccessCode) {
			return token.AsideLocked, "an access code that is not known here guards the slot"
		}
		return token.AsideRefused, no.Error()
	case errors.As(err, &old):
		return token.AsideOldFirmware, old.Error()
	case errors.Is(err, provision.ErrOccupied):
		errors.As(err, &plan)
		return token.AsideForeign, fmt.Sprintf("slot %d holds what this store did not write", plan.Slot)
	case errors.Is(err, provision.ErrHeld):
		return token.AsideHeld, "a person holds it"
	case errors.Is(err, provision.ErrBlocked), errors.As(err, &state):
		return token.AsideBlocked, err.Error()
	case errors.Is(err, provision.ErrSerialInUse), errors.Is(err, token.ErrDuplicate):
		return token.AsidePublicID, err.Error()
	case errors.Is(err, token.ErrUnsettled):
		return token.AsideUnsettled, "an interrupted write holds the slot: tokendesk provision resume"
	case errors.As(err, &plan):
		return token.AsideRefused, err.Error()
	}
	return token.AsideSilent, err.Error()
}
