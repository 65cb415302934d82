package token

import (
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Work is what is done to a slot beside writing it anew. The secret in the slot stays what it is, or goes.
type Work string

// The works.
const (
	Update Work = "update" // of flags and access code
	Swap   Work = "swap"   // of both slots
	Erase  Work = "erase"
)

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
	Slot       Slot         // 0 for Swap
	Credential *Credential  // what the slot holds as we know, for Swap slot 1, with its Secrets; nil: nothing of ours
	Other      *Credential  // Swap: of slot 2
	After      Settings     // Update: the flags and HasAccessCode
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
