package token

import (
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Work is what is done to a slot, or to an account, beside writing it anew. The secret there stays what it is, or goes.
type Work string

// The works.
const (
	Update Work = "update" // of flags and access code
	Swap   Work = "swap"   // of both slots
	Erase  Work = "erase"

	RemoveAccount Work = "remove-account" // of the OATH application
	RenameAccount Work = "rename-account"
	ResetOATH     Work = "reset-oath" // of all accounts, and of the password
)

// OfAccounts reports whether a work is about the OATH application.
func (w Work) OfAccounts() bool { return w == RemoveAccount || w == RenameAccount || w == ResetOATH }

// ChangeID names a SlotChange.
type ChangeID int64

// SlotChange is the write-ahead record of such a work. It is Writing from its beginning: the first byte may have been sent. Committed:
// it is done; Aborted: the slot is as before.
type SlotChange struct {
	ID         ChangeID
	Phase      Phase
	Work       Work
	Serial     Serial
	Token      ID
	Slot       Slot         // 0 for Swap, and of accounts
	Account    string       // RemoveAccount, RenameAccount: what it was called
	Credential *Credential  // what the slot holds as we know, for Swap slot 1, with its Secrets; nil: nothing of ours
	Other      *Credential  // Swap: of slot 2
	After      Settings     // Update: the flags and HasAccessCode; RenameAccount: Account and Issuer
	Code       secret.Bytes // Update: the access code afterwards; empty: none
	Firmware   string
	Reason     string // why something foreign was changed
	Created    time.Time
	Updated    time.Time
}

// Destroy clears the secrets.
func (c SlotChange) Destroy() {
	c.Code.Destroy()
	for _, in := range []*Credential{c.Credential, c.Other} {
		if in != nil {
			in.Secrets.Destroy()
		}
	}
}
