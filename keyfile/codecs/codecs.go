// Package codecs is the list of file formats and of the servers that read them. There is no registration: what is not in
// this file does not exist.
package codecs

import (
	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/appbackup"
	"github.com/tokendesk/tokendesk/keyfile/authelia"
	"github.com/tokendesk/tokendesk/keyfile/deepnet"
	"github.com/tokendesk/tokendesk/keyfile/entra"
	"github.com/tokendesk/tokendesk/keyfile/freeradius"
	"github.com/tokendesk/tokendesk/keyfile/googleauth"
	"github.com/tokendesk/tokendesk/keyfile/kanidm"
	"github.com/tokendesk/tokendesk/keyfile/keycloak"
	"github.com/tokendesk/tokendesk/keyfile/ksm"
	"github.com/tokendesk/tokendesk/keyfile/linotpcsv"
	"github.com/tokendesk/tokendesk/keyfile/migration"
	"github.com/tokendesk/tokendesk/keyfile/multiotp"
	"github.com/tokendesk/tokendesk/keyfile/nextcloud"
	"github.com/tokendesk/tokendesk/keyfile/oathcsv"
	"github.com/tokendesk/tokendesk/keyfile/otpauth"
	"github.com/tokendesk/tokendesk/keyfile/pijson"
	"github.com/tokendesk/tokendesk/keyfile/pskc"
	"github.com/tokendesk/tokendesk/keyfile/safenet"
	"github.com/tokendesk/tokendesk/keyfile/safeword"
	"github.com/tokendesk/tokendesk/keyfile/seedtable"
	"github.com/tokendesk/tokendesk/keyfile/tablecsv"
	"github.com/tokendesk/tokendesk/keyfile/usersoath"
	"github.com/tokendesk/tokendesk/keyfile/vault"
	"github.com/tokendesk/tokendesk/keyfile/ykplog"
	"github.com/tokendesk/tokendesk/keyfile/yubicocsv"
	"github.com/tokendesk/tokendesk/keyfile/yubimap"
)

// All lists every format that is written, in the order in which they are shown. All of them are read, too.
func All() []keyfile.Codec {
	out := []keyfile.Codec{
		yubicocsv.Codec{}, oathcsv.Codec{}, ksm.Codec{}, pskc.Codec{}, otpauth.Codec{}, migration.Codec{},
		googleauth.Codec{}, usersoath.Codec{}, yubimap.Codec{}, freeradius.Codec{},
		keycloak.Codec{}, nextcloud.Codec{}, entra.Codec{}, authelia.Codec{}, vault.Codec{}, kanidm.Codec{},
		linotpcsv.Codec{}, multiotp.Codec{}, pijson.Codec{}, appbackup.Aegis{},
	}
	for _, c := range tablecsv.Formats() {
		out = append(out, c)
	}
	return out
}

// Readers lists every format that is read: All, and those of vendors and apps that are not written.
func Readers() []keyfile.Reader {
	var out []keyfile.Reader
	for _, c := range All() {
		out = append(out, c)
	}
	return append(out, ykplog.Reader{}, safenet.Reader{}, safeword.Reader{}, deepnet.Reader{}, seedtable.Reader{},
		appbackup.AndOTP{}, appbackup.TwoFAS{}, appbackup.FreeOTPPlus{}, appbackup.BitwardenCSV{}, appbackup.BitwardenJSON{})
}

// Names lists the words for --format of a file to write.
func Names() []string { return names(All()) }

// ReaderNames lists the words for --format of a file to read.
func ReaderNames() []string { return names(Readers()) }

func names[R keyfile.Reader](list []R) (out []string) {
	for _, c := range list {
		out = append(out, c.Name())
	}
	return out
}

// ByName is the format of that name, to write.
func ByName(name string) (keyfile.Codec, bool) { return named(All(), name) }

// ReaderByName is the format of that name, to read.
func ReaderByName(name string) (keyfile.Reader, bool) { return named(Readers(), name) }

func named[R keyfile.Reader](list []R, name string) (none R, ok bool) {
	for _, c := range list {
		if c.Name() == name {
			return c, true
		}
	}
	return none, false
}

// HeadSize is how much of a file Detect wants to see, in bytes.
const HeadSize = 4096

// Detect is the format that is surest, 1 to 100, of a file that begins with head; nil and 0 when none is. An encrypted or
// UTF-16 file is none: keyfile.Unreadable says so.
func Detect(head []byte) (keyfile.Reader, int) {
	var best keyfile.Reader
	sure := 0
	for _, c := range Readers() {
		if n := c.Detect(head); n > sure {
			best, sure = c, n
		}
	}
	return best, sure
}
