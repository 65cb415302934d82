package ykslot

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Layout of an NDEF payload: length, type, data, current access code. Source: reference yubikey-otp.md §3.6.
const (
	NDEFLen       = 54 // data with the prefix code or the language
	offNDEFData   = 2
	offNDEFCode   = offNDEFData + NDEFLen
	ndefURI       = 'U'
	ndefText      = 'T'
	DefaultNDEF   = "https://my.yubico.com/yk/#"
	ndefLangBits  = 0x3F // in the first byte of a text: the length of the language; bit 80 would be UTF-16
	ndefLangLimit = 8    // RFC 5646 primary language with region: more would be a mistake
)

// uriPrefixes are the abbreviations 1 to 35 of the NFC Forum's URI record, in that order. Source: reference yubikey-otp.md §3.6.
var uriPrefixes = [...]string{
	"http://www.", "https://www.", "http://", "https://", "tel:", "mailto:", "ftp://anonymous:anonymous@", "ftp://ftp.", "ftps://",
	"sftp://", "smb://", "nfs://", "ftp://", "dav://", "news:", "telnet://", "imap:", "rtsp://", "urn:", "pop:", "sip:", "sips:",
	"tftp:", "btspp://", "btl2cap://", "btgoep://", "tcpobex://", "irdaobex://", "file://", "urn:epc:id:", "urn:epc:tag:",
	"urn:epc:pat:", "urn:epc:raw:", "urn:epc:", "urn:nfc:",
}

// NDEF is what a key shows over NFC: a URI or a text, to which it appends the slot's OTP. The zero value is refused.
type NDEF struct {
	kind byte
	data []byte
}

// NDEFURI is a URI; its prefix is abbreviated where the NFC Forum has a code for it. The error is an *InvalidError.
func NDEFURI(uri string) (NDEF, error) {
	if uri == "" || !utf8.ValidString(uri) {
		return NDEF{}, &InvalidError{"the URI is empty or not UTF-8"}
	}
	code, prefix := 0, ""
	for i, p := range uriPrefixes { // the longest one that fits: "https://www." before "https://"
		if strings.HasPrefix(uri, p) && len(p) > len(prefix) {
			code, prefix = i+1, p
		}
	}
	return newNDEF(ndefURI, append([]byte{byte(code)}, uri[len(prefix):]...))
}

// NDEFText is a text in UTF-8 in a language, "en" if that is empty. The error is an *InvalidError.
func NDEFText(text, language string) (NDEF, error) {
	if language == "" {
		language = "en"
	}
	if len(language) > ndefLangLimit || strings.Trim(language, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" {
		return NDEF{}, &InvalidError{"a language is a code such as en or de-AT"}
	}
	if !utf8.ValidString(text) {
		return NDEF{}, &InvalidError{"the text is not UTF-8"}
	}
	return newNDEF(ndefText, append(append([]byte{byte(len(language))}, language...), text...))
}

func newNDEF(kind byte, data []byte) (NDEF, error) {
	if len(data) > NDEFLen {
		return NDEF{}, &InvalidError{fmt.Sprintf("%d bytes with the prefix; %d fit", len(data), NDEFLen)}
	}
	return NDEF{kind, data}, nil
}

// AppendMarshal appends the 56 bytes of the payload before the access code: length, type, data, zeros.
func (n NDEF) AppendMarshal(dst []byte) []byte {
	var b [offNDEFCode]byte
	b[0], b[1] = byte(len(n.data)), n.kind
	copy(b[offNDEFData:], n.data)
	return append(dst, b[:]...)
}

// ParseNDEF reads what AppendMarshal appends; the error is an *InvalidError.
func ParseNDEF(b []byte) (NDEF, error) {
	if len(b) != offNDEFCode || b[0] == 0 || b[0] > NDEFLen || b[1] != ndefURI && b[1] != ndefText {
		return NDEF{}, &InvalidError{fmt.Sprintf("no NDEF of %d bytes", offNDEFCode)}
	}
	n := NDEF{b[1], bytes.Clone(b[offNDEFData : offNDEFData+int(b[0])])}
	if !bytes.Equal(n.AppendMarshal(nil), b) {
		return NDEF{}, &InvalidError{"bytes behind the NDEF"}
	}
	return n, nil
}

// String is the URI or the text, without the OTP that follows it.
func (n NDEF) String() string {
	switch {
	case len(n.data) == 0:
		return ""
	case n.kind == ndefURI && int(n.data[0]) <= len(uriPrefixes):
		rest := string(n.data[1:])
		if n.data[0] == 0 {
			return rest
		}
		return uriPrefixes[n.data[0]-1] + rest
	case n.kind == ndefText && len(n.data) > int(n.data[0]&ndefLangBits):
		return string(n.data[1+n.data[0]&ndefLangBits:])
	}
	return ""
}

// WriteNDEF sets what the key shows over NFC before the slot's OTP. The slot must type something. A slot with an access code
// refuses, with the right code too: write the NDEF first and set the code then. Errors are as in Write. Source: reference
// yubikey-otp.md §3.6.
func (s *Session) WriteNDEF(ctx context.Context, slot Slot, n NDEF, current secret.Bytes) error {
	err := FeatureNDEF.Supported(s.version())
	if err == nil && slot == Slot2 {
		err = FeatureSlot2.Supported(s.version())
	}
	if err == nil && n.kind == 0 {
		err = &InvalidError{"there is neither a URI nor a text"}
	}
	if err != nil {
		return opError(opNDEF, slot, err)
	}
	return s.run(ctx, opNDEF, slot, ofSlot(slot, CommandNDEF1, CommandNDEF2), n.AppendMarshal(nil), current)
}
