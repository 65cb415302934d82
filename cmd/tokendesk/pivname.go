package main

import "strings"

// maxKeptName is the longest name of a certificate that a store takes, in bytes.
const maxKeptName = 4 << 10

// keptName is a name of a certificate as the store keeps it: whoever has a key chooses what it says, and how long it is.
func keptName(name string) string {
	if name = printable(name); len(name) <= maxKeptName {
		return name
	}
	const cut = "…"
	return strings.ToValidUTF8(name[:maxKeptName-len(cut)], "") + cut
}
