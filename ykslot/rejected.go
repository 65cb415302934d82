package ykslot

import (
	"fmt"
	"strings"
)

// Cause is a possible reason for a refused write or challenge. The key gives none, so each RejectedError lists those that can apply.
type Cause uint8

// The causes. They are listed in this order, CauseLostReport last. Source: reference yubikey-otp.md §1.6, §1.7, §3.2, §3.5.
const (
	CauseAccessCode     Cause = iota // the access code sent is wrong
	CauseNoAccessCode                // the slot has an access code and none was sent
	CauseProtected                   // slot 1 has PROTECT_CFG2, so slot 2 may not be written
	CauseProtectFlag                 // slot 2 has PROTECT_CFG2, so slot 1 may not get it
	CauseNotUpdatable                // written without ALLOW_UPDATE
	CauseEmpty                       // there is nothing in the slot
	CauseSwapAccessCode              // a slot has an access code: swap cannot send one
	CauseLostReport                  // a report was damaged on the way; trying again is harmless
	CauseLocked                      // a slot has an access code: NDEF and the USB mode cannot be set then
	CauseTypesNothing                // NDEF of a slot that is empty or does not type
	CauseNoNFC                       // NDEF of a key without NFC
	CauseNoInterface                 // the key does not have one of the interfaces
	CauseLockCode                    // the key's settings have another lock code
	CauseNotChallenge                // the slot is for another kind of challenge or for none, empty or dormant
)

// slotWrites are the operations that an access code of their slot guards.
const slotWrites = opWrite | opDelete | opUpdate

// causes are in the order of the constants; CauseLostReport is listed last.
var causes = []struct {
	cause Cause
	text  string
	fits  func(r *RejectedError) bool
}{
	{CauseAccessCode, "the slot's access code is another than the one given", func(r *RejectedError) bool {
		return r.op&(slotWrites|opScanMap) != 0 && r.CodeSent
	}},
	{CauseNoAccessCode, "the slot is locked by an access code, and none was given", func(r *RejectedError) bool {
		return r.op&(slotWrites|opScanMap) != 0 && !r.CodeSent
	}},
	{CauseProtected, "slot 1 protects slot 2 (PROTECT_CFG2): rewrite slot 1 without that flag first", func(r *RejectedError) bool {
		return r.op&slotWrites != 0 && r.Slot == Slot2 && r.Before.Configured(Slot1)
	}},
	{CauseProtectFlag, "slot 2 has PROTECT_CFG2, which keeps slot 1 from having it", func(r *RejectedError) bool {
		return r.op == opWrite && r.protects && r.Slot == Slot1 && r.Before.Configured(Slot2)
	}},
	{CauseNotUpdatable, "the slot was written without ALLOW_UPDATE", func(r *RejectedError) bool { return r.op&(opUpdate|opSwap) != 0 }},
	{CauseEmpty, "the slot is empty", func(r *RejectedError) bool {
		switch r.op {
		case opSwap:
			return r.Before.Touch&touchAnySlot == 0
		case opDelete, opUpdate:
			return !r.Before.Configured(r.Slot)
		}
		return false
	}},
	{CauseSwapAccessCode, "a slot is locked by an access code: remove it, swap, set it again", func(r *RejectedError) bool { return r.op == opSwap }},
	{CauseLostReport, "a report was damaged on the way: try again", nil},
	{CauseLocked, "a slot is locked by an access code: remove it, try again, set it again", func(r *RejectedError) bool {
		return r.op&(opNDEF|opMode) != 0
	}},
	{CauseTypesNothing, "the slot is empty or types nothing", func(r *RejectedError) bool { return r.op == opNDEF }},
	{CauseNoNFC, "the key has no NFC", func(r *RejectedError) bool { return r.op == opNDEF && r.Before.Version.Major != neoMajor }},
	{CauseNoInterface, "the key does not have one of the interfaces or applications", func(r *RejectedError) bool { return r.op&(opMode|opDevice) != 0 }},
	{CauseLockCode, "the key's settings are locked, and not by the lock code given", func(r *RejectedError) bool { return r.op == opDevice }},
	{CauseNotChallenge, "the slot is not programmed for this kind of challenge, or is dormant", func(r *RejectedError) bool { return r.op == opChallenge }},
}

// String describes the cause.
func (c Cause) String() string {
	if int(c) < len(causes) {
		return causes[c].text
	}
	return fmt.Sprintf("cause %d", uint8(c))
}

// RejectedError: the key took a write and changed nothing.
type RejectedError struct {
	Slot     Slot    // 0 for a swap
	Before   Status  // with the firmware version
	CodeSent bool    // a current access code other than zeros was sent
	Causes   []Cause // likely ones for this firmware, slot and kind of write, most likely first
	op       op
	protects bool // PROTECT_CFG2 was to be written
}

func newRejected(o op, slot Slot, before Status, codeSent, protects bool) *RejectedError {
	r := &RejectedError{Slot: slot, Before: before, CodeSent: codeSent, op: o, protects: protects}
	for _, row := range causes {
		if row.cause != CauseLostReport && row.fits(r) {
			r.Causes = append(r.Causes, row.cause)
		}
	}
	r.Causes = append(r.Causes, CauseLostReport)
	return r
}

// Error is one line with the causes.
func (e *RejectedError) Error() string {
	texts := make([]string, len(e.Causes))
	for i, c := range e.Causes {
		texts[i] = c.String()
	}
	return fmt.Sprintf("the key (firmware %v) refused; possible causes: %s", e.Before.Version, strings.Join(texts, "; "))
}
