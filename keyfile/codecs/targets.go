package codecs

import (
	"strings"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/ksm"
	"github.com/tokendesk/tokendesk/keyfile/oathcsv"
	"github.com/tokendesk/tokendesk/keyfile/pskc"
	"github.com/tokendesk/tokendesk/keyfile/yubicocsv"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Target is a server that reads one of the formats as it is, the word after --for.
type Target struct {
	Name   string
	Title  string
	Codec  keyfile.Codec
	Import string // what to do with the file there; FILE stands for its name
	Why    string // why this format, and what to know
	Tried  bool   // the reference ran that server's importer; otherwise it is from its documents only

	// refuses lists, as fatal losses, what this server cannot take although the format can say it; nil: nothing.
	refuses func(keyfile.Record) []keyfile.Loss
}

// Loss is what this server loses of rec: its own refusals and the format's losses. An exporter asks it before it encodes
// rec, because the format's encoder knows the format only.
func (t Target) Loss(rec keyfile.Record) []keyfile.Loss {
	out := t.Codec.Loss(rec)
	if t.refuses != nil {
		out = append(t.refuses(rec), out...)
	}
	return out
}

// Instructions is Import with the name of the written file in it.
func (t Target) Instructions(file string) string { return strings.ReplaceAll(t.Import, "FILE", file) }

// Targets lists the servers, in the order in which they are shown. Source: reference key-files.md §4 to §8.
func Targets() []Target {
	return []Target{
		{
			Name: "privacyidea", Title: "privacyIDEA", Codec: oathcsv.Codec{}, Tried: true,
			Import: "pi-manage token import FILE\n(or in the web interface: Import, type \"OATH CSV\")",
			Why:    "two slots of one key stay two tokens; privacyIDEA does not compare private IDs and learns the public ID with the first OTP",
		},
		{
			Name: "linotp", Title: "LinOTP", Codec: oathcsv.Codec{}, Tried: true,
			Import:  "upload FILE to admin/loadtokens with type=oathcsv",
			Why:     "version 1 is read as privacyIDEA reads it, but LinOTP ignores the HOTP counter",
			refuses: refuseCounter,
		},
		{
			Name: "yubikey-ksm", Title: "yubikey-ksm", Codec: ksm.Codec{}, Tried: true,
			Import: "gpg --armor --sign --encrypt --recipient KSM-KEY-ID --output FILE.asc FILE\nykksm-import < FILE.asc",
			Why:    "ykksm-import takes a signed OpenPGP message only, and a public ID once only",
		},
		{
			Name: "freeipa", Title: "FreeIPA", Codec: pskc.Codec{}, Tried: true,
			Import:  "ipa-otptoken-import FILE NOT-IMPORTED.xml\nipa otptoken-mod TOKEN-ID --owner PERSON",
			Why:     "PSKC is its only way in; HOTP and TOTP with 6 or 8 digits only, the owner is set afterwards",
			refuses: refuseForFreeIPA,
		},
		{
			Name: "multiotp", Title: "multiOTP", Codec: pskc.Codec{}, Tried: true,
			Import:  "multiotp -import FILE",
			Why:     "reads plain PSKC with its hash; HOTP and TOTP only; it lower-cases serials",
			refuses: refuseYubicoOTPs,
		},
		{
			Name: "okta", Title: "Okta", Codec: yubicocsv.Codec{},
			Import:  "upload FILE as the YubiKey seed file; a key that was uploaded before must be deleted there first",
			Why:     "from its documents, not tried: the Yubico format with its order and its trailing comma",
			refuses: refuseOATH,
		},
		{
			Name: "greenradius", Title: "GreenRADIUS", Codec: yubicocsv.Codec{},
			Import:  "import FILE as a key file of the cross-platform Personalization Tool",
			Why:     "from its documents, not tried",
			refuses: refuseOATH,
		},
	}
}

// TargetByName is the server of that name.
func TargetByName(name string) (Target, bool) {
	for _, t := range Targets() {
		if t.Name == name {
			return t, true
		}
	}
	return Target{}, false
}

// refuseCounter is for a server that starts every HOTP token at 0.
func refuseCounter(rec keyfile.Record) []keyfile.Loss {
	if rec.Kind == token.HOTP && rec.Counter > 0 {
		return []keyfile.Loss{keyfile.Fatal("counter", "this server ignores it and starts at 0, behind the token")}
	}
	return nil
}

// refuseYubicoOTPs is for a server without Yubico OTPs.
func refuseYubicoOTPs(rec keyfile.Record) []keyfile.Loss {
	if rec.Kind == token.YubicoOTP {
		return []keyfile.Loss{keyfile.Fatal("kind", "this server knows no Yubico OTPs")}
	}
	return nil
}

// refuseForFreeIPA adds that codes have 6 or 8 digits there. Source: reference key-files.md §6.5.
func refuseForFreeIPA(rec keyfile.Record) []keyfile.Loss {
	if out := refuseYubicoOTPs(rec); out != nil {
		return out
	}
	if rec.Digits != 6 && rec.Digits != 8 {
		return []keyfile.Loss{keyfile.Fatal("digits", "this server takes 6 or 8 digits")}
	}
	return nil
}

// refuseOATH is for a server that takes Yubico OTP rows only.
func refuseOATH(rec keyfile.Record) []keyfile.Loss {
	if rec.Kind != token.YubicoOTP {
		return []keyfile.Loss{keyfile.Fatal("kind", "this server's documents know Yubico OTP rows only")}
	}
	return nil
}
