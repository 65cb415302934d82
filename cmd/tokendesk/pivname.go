package main

import (
	"strings"

	"github.com/tokendesk/tokendesk/provision/token"
)

// keptName is a name of a certificate as the store keeps it: whoever has a key chooses what it says, and how long it is.
func keptName(name string) string { return upTo(token.MaxCertificateName, printable(name)) }

// upTo is text cut to a number of bytes, between two characters: a database takes no half ones.
func upTo(most int, text string) string {
	if len(text) <= most {
		return text
	}
	const cut = "…"
	return strings.ToValidUTF8(text[:most-len(cut)], "") + cut
}
