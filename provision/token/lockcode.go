package token

import (
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// LockCodeID names a lock code in one store; 0 names none.
type LockCodeID int64

// LockCode is a code of 16 bytes that guards, or may guard, the application settings of a YubiKey. The holder destroys it.
type LockCode struct {
	ID      LockCodeID
	Code    secret.Bytes
	Held    bool // the key was seen to have it; otherwise it was on its way there
	Created time.Time
}
