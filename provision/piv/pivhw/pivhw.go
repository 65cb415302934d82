// Package pivhw opens the PIV application of a YubiKey in a smart-card reader, as package piv wants it. Keys are generated, used and
// attested, and PIN, PUK and management key are changed, by go-piv/piv-go; what that does not have (tries and defaults of PIN, PUK and
// management key, all slots at once, data objects, deleting keys) by commands of its own over package pcsc. Both hold the
// card exclusively, one after the other.
//
//	card, err := pivhw.Open(ctx, pcsc.System(), reader)
//	defer card.Close()
//
// Built with cgo, or for Windows; elsewhere Open says that it is not part of this build.
package pivhw

import "github.com/tokendesk/tokendesk/provision/piv"

var _ piv.Card = (*Card)(nil)
