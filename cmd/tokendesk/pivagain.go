package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/csv"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile/codecs"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
)

// commandLine is a command for somebody to copy. It has names of files that hold secrets, and no secret.
type commandLine []string

// add appends a flag, unless its value is empty or the one that it has anyway.
func (l *commandLine) add(flag, value, usual string) {
	if value != "" && value != usual {
		*l = append(*l, flag, value)
	}
}

// on appends a flag without a value.
func (l *commandLine) on(flag string, on bool) {
	if on {
		*l = append(*l, flag)
	}
}

// String is the command for a POSIX shell.
func (l commandLine) String() string {
	quoted := make([]string, len(l))
	for i, word := range l {
		quoted[i] = shellWord(word)
	}
	return strings.Join(quoted, " ")
}

// shellWord is a word as a POSIX shell takes it, with nothing in it that would steer a terminal. An end of line that is its last is lost.
func shellWord(word string) string {
	if printable(word) == word {
		return codecs.Quoted(word)
	}
	var octal strings.Builder
	for _, b := range []byte(word) {
		fmt.Fprintf(&octal, `\0%03o`, b)
	}
	return `"$(printf %b '` + octal.String() + `')"`
}

// words are the flags of a key and its certificate, but the reason.
func (o *pivKeyOptions) words(l *commandLine) {
	if o.slot == "" {
		return
	}
	flag := "--" + o.prefix
	l.add(flag+"slot", o.slot, "")
	l.add(flag+"algorithm", o.algorithm, piv.P256.String())
	l.add(flag+"pin-policy", o.pinUse, "")
	l.add(flag+"touch-policy", o.touch, piv.TouchNever.String())
	l.on(flag+"overwrite", o.overwrite)
	l.add(flag+"subject", o.subject, "")
	for _, m := range o.mails { // pflag reads a list as a line of CSV
		var field strings.Builder
		w := csv.NewWriter(&field)
		_ = w.Write([]string{m}) // to memory
		w.Flush()
		l.add(flag+"email", strings.TrimSuffix(field.String(), "\n"), "")
	}
	l.add(flag+"upn", o.upn, "")
	l.add(flag+"csr", o.csr, "")
	l.on(flag+"self-signed", o.selfSigned)
	if o.selfSigned {
		l.add(flag+"valid", o.valid.String(), defaultValid.String())
	}
}

func (o *letterOptions) words(l *commandLine) {
	if o.file != "" {
		l.add(o.flag, o.file, "")
		l.add(o.flag+"-language", o.language, "en")
	}
}

// repeat is the command that was given, for just this key.
func (o *pivInitOptions) repeat(serial token.Serial) string {
	l := commandLine{"tokendesk", "piv", "init", "--serial", serial.String()}
	for _, f := range [][2]string{{"--pin-file", o.pin}, {"--puk-file", o.puk}, {"--management-key-file", o.management}, {"--new-pin-file", o.newPIN},
		{"--pin-tries", o.pinTries}, {"--puk-tries", o.pukTries}} {
		l.add(f[0], f[1], "")
	}
	l.on("--last-try", o.lastTry)
	o.key.words(&l)
	o.letter.words(&l)
	l.on("--reset", o.reset)
	l.add("--reason", o.reason, "")
	l.on("--yes", o.yes)
	return l.String()
}

// again is the command that finishes it, without what would write a slot or an account anew.
func (o *pivWork) again(serial token.Serial, reassign, yes bool) string {
	l := commandLine{"tokendesk", "provision", "--piv", "--serial", serial.String()}
	l.add("--to", o.key.account, "")
	l.on("--reassign", reassign)
	o.key.words(&l)
	o.letter.words(&l)
	if o.key.overwrite {
		l.add("--reason", o.key.reason, "")
		l.on("--yes", yes)
	}
	return l.String()
}

// left adds to what ended a slot or an account in doubt that PIV, which comes after them, is not begun: resume settles them, and does not go
// on with it. Errors of PIV itself are as they were.
func (o *pivWork) left(err error, w cardWork, serial token.Serial) error {
	var open *provision.UncertainError
	if !o.on || !errors.As(err, &open) {
		return err
	}
	x := explain(err)
	p := &problem{line: x.line, hints: x.hints, code: x.code, cause: err}
	return p.hint("then set PIV up, which is not begun: %s", o.again(serial, w.reassign, w.yes))
}

// mostLeft bounds what is read of a file that may be ours.
const mostLeft = 1 << 16

// leftBehind is what is in a file that an interrupted run may have made: a regular one of a few kilobytes.
func leftBehind(name string) (text []byte, ok bool) {
	info, err := os.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > mostLeft {
		return nil, false
	}
	text, err = os.ReadFile(name)
	return text, err == nil
}

// checkOutAgain is checkOut, but lets a file pass that an interrupted run may have made: one that is empty, or looks so. What it is worth is
// asked again with the key at hand.
func checkOutAgain(flag, name string, looks func([]byte) bool) error {
	err := checkOut(flag, name)
	if text, ok := leftBehind(name); err != nil && ok && (len(text) == 0 || looks(text)) {
		return nil
	}
	return err
}

// remakeFile is makeFile, but takes the place of what an interrupted run left: nothing, or left.
func remakeFile(name string, left []byte, write func(io.Writer) error) error {
	var all bytes.Buffer
	defer func() { clear(all.Bytes()) }()
	if err := write(&all); err != nil {
		return err
	}
	if text, ok := leftBehind(name); ok && (len(text) == 0 || left != nil && bytes.Equal(text, left)) {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return makeFile(name, func(w io.Writer) error { // all at once: killed meanwhile, it leaves all or nothing
		_, err := w.Write(all.Bytes())
		return err
	})
}

// requestIn is the certificate request in a file; nil: it is none.
func requestIn(text []byte) *x509.CertificateRequest {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
		return nil
	}
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || r.CheckSignature() != nil {
		return nil
	}
	return r
}

func isRequest(text []byte) bool { return requestIn(text) != nil }

// requests reports whether a file is a request for this key and this name.
func (o *pivKeyOptions) requests(text []byte, public crypto.PublicKey) bool {
	r := requestIn(text)
	return r != nil && public != nil && piv.SameKey(r.PublicKey, public) && r.Subject.String() == o.name.String()
}

// isLetter reports whether a file begins as our letters do.
func isLetter(text []byte) bool {
	for _, l := range letters {
		if begin, _, _ := strings.Cut(l, "%s"); bytes.HasPrefix(text, []byte(begin)) {
			return true
		}
	}
	return false
}

// tells reports whether a file is our letter with just this PIN of this key.
func tells(text []byte, serial token.Serial, pin []byte) bool {
	for _, l := range letters {
		begin, end, _ := strings.Cut(l, "%d")
		begin = fmt.Sprintf(begin, serial, pin)
		if bytes.HasPrefix(text, []byte(begin)) && bytes.HasSuffix(text, []byte(end)) {
			return true
		}
	}
	return false
}

// recognise refuses files that exist and that no interrupted run for this key made, before anything is changed, and notes the others, whose
// place is taken: a request for the key in the slot, and a letter with a PIN that the store has for the key.
func (s *pivSession) recognise(ctx context.Context, key *pivKeyOptions, letter *letterOptions) error {
	if text, ok := leftBehind(key.csr); key.csr != "" && ok && len(text) > 0 {
		if !key.requests(text, s.facts.Slot(key.at).Public) {
			return fileExists(key.csr)
		}
		key.left = text
	}
	text, ok := leftBehind(letter.file)
	if letter.file == "" || !ok || len(text) == 0 {
		return nil
	}
	kept, err := s.st.Escrows(ctx, s.facts.Serial, token.PIVPIN)
	defer destroyEscrows(kept)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(kept, func(e token.Escrow) bool { return tells(text, s.facts.Serial, e.Secret.Reveal()) }) {
		return fileExists(letter.file)
	}
	letter.left = text
	return nil
}
