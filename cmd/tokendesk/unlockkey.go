package main

import (
	"crypto/ecdh"

	"github.com/tokendesk/tokendesk/keyfile/seal"
)

// unlockKey opens a wrapped sealing key by one of the YubiKeys that it is wrapped for.
func (a *app) unlockKey([]seal.Recipient, func(ecdh.KeyExchanger) error) error {
	return seal.ErrWrapped
}
