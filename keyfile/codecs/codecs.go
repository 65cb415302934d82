// Package codecs is the list of file formats and of the servers that read them. There is no registration: what is not in
// this file does not exist.
package codecs

import (
	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/ksm"
	"github.com/tokendesk/tokendesk/keyfile/oathcsv"
	"github.com/tokendesk/tokendesk/keyfile/pskc"
	"github.com/tokendesk/tokendesk/keyfile/yubicocsv"
)

// All lists every format, in the order in which they are shown.
func All() []keyfile.Codec {
	return []keyfile.Codec{yubicocsv.Codec{}, oathcsv.Codec{}, ksm.Codec{}, pskc.Codec{}}
}

// Names lists the words for --format.
func Names() []string {
	var out []string
	for _, c := range All() {
		out = append(out, c.Name())
	}
	return out
}

// ByName is the format of that name.
func ByName(name string) (keyfile.Codec, bool) {
	for _, c := range All() {
		if c.Name() == name {
			return c, true
		}
	}
	return nil, false
}

// HeadSize is how much of a file Detect wants to see, in bytes.
const HeadSize = 4096

// Detect is the format that is surest, 1 to 100, of a file that begins with head; nil and 0 when none is. An encrypted or
// UTF-16 file is none: keyfile.Unreadable says so.
func Detect(head []byte) (keyfile.Codec, int) {
	var best keyfile.Codec
	sure := 0
	for _, c := range All() {
		if n := c.Detect(head); n > sure {
			best, sure = c, n
		}
	}
	return best, sure
}
