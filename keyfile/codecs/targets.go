package codecs

import (
	"strings"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Protection is a set of ways in which a server can read an encrypted file.
type Protection uint8

// The protections. Age is for people and archives; any file can be wrapped in it, and no server here reads it.
const (
	OpenPGP      Protection = 1 << iota // an armoured message, encrypted to the server's key
	PresharedKey                        // PSKC
	Passphrase                          // PSKC
	FernetKey                           // privacyIDEA's own format
)

// Target is a server that reads one of the formats as it is, the word after --for.
type Target struct {
	Name    string
	Title   string
	Codec   keyfile.Codec
	Import  string     // what to do with the file there; FILE stands for its name
	Why     string     // why this format, and what to know
	Tried   bool       // the reference ran that server's importer, or a test here runs it; otherwise it is from its documents only
	Protect Protection // how the file may be encrypted for it; 0: it reads clear files only
	Signed  bool       // it takes signed OpenPGP messages only
	RawKey  bool       // it reads a pre-shared key from a file of raw bytes; others are given it typed in hexadecimal

	// refuses lists, as fatal losses, what this server cannot take although the format can say it; nil: nothing.
	refuses func(keyfile.Record) []keyfile.Loss
	// protected is refuses for an encrypted PSKC container; nil: nothing.
	protected func(keyfile.Record) []keyfile.Loss
}

// ProtectedLoss is Loss for a file that PSKC itself encrypts.
func (t Target) ProtectedLoss(rec keyfile.Record) []keyfile.Loss {
	out := t.Loss(rec)
	if t.protected != nil {
		out = append(t.protected(rec), out...)
	}
	return out
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

// Instructions is Import for a written file, and for the file with what opens it, "" for none. Names with other than plain
// characters are quoted for a shell.
func (t Target) Instructions(file, keyFile string) string {
	text := t.Import
	if keyFile == "" {
		text = strings.ReplaceAll(text, " -k KEYFILE", "")
	}
	return strings.NewReplacer("KEYFILE", Quoted(keyFile), "FILE", Quoted(file)).Replace(text)
}

// Quoted is a word as a POSIX shell takes it.
func Quoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+=:@%,", r)
	}
	if strings.Trim(word, "-") != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
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

// refuseProtectedYubicoOTPs is privacyIDEA's reader of encrypted PSKC, which takes the decrypted key for text. Source:
// reference key-files.md §0 fact 3.
func refuseProtectedYubicoOTPs(rec keyfile.Record) []keyfile.Loss {
	if rec.Kind == token.YubicoOTP {
		return []keyfile.Loss{keyfile.Fatal("kind", "this server refuses Yubico OTP keys in encrypted PSKC: use --for privacyidea with --recipient")}
	}
	return nil
}
