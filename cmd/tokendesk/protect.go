package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/agefile"
	"github.com/tokendesk/tokendesk/keyfile/codecs"
	"github.com/tokendesk/tokendesk/keyfile/openpgp"
	"github.com/tokendesk/tokendesk/keyfile/pijson"
	"github.com/tokendesk/tokendesk/keyfile/pskc"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// protectFlags say how a file that is written is protected.
type protectFlags struct {
	recipients []string
	signer     string
	pskOut     string
	passphrase string
	plaintext  bool
}

// flags adds them to a command; passphraseFlag is what it calls --passphrase-file.
func (o *protectFlags) flags(cmd *cobra.Command, passphraseFlag string) {
	f := cmd.Flags()
	f.StringArrayVar(&o.recipients, "recipient", nil, "who can open the file: file with an OpenPGP public key, or an age public key (age1…); may be repeated")
	f.StringVar(&o.signer, "sign-with", "", "file with the OpenPGP secret key that signs the file")
	f.StringVar(&o.pskOut, "psk-out", "", "encrypt with a fresh pre-shared key, and make this file (0600) for the key")
	f.StringVar(&o.passphrase, passphraseFlag, "", "encrypt with the passphrase in this file, or \"prompt\" to be asked; with --sign-with: the passphrase of that key")
	f.BoolVar(&o.plaintext, "plaintext", false, "yes, write secrets in clear")
}

// askedFor are the ways of encryption that the flags ask for.
func (o protectFlags) askedFor() (flags []string) {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"--recipient", len(o.recipients) > 0},
		{"--psk-out", o.pskOut != ""},
		{"a passphrase", o.passphrase != "" && o.signer == ""},
		{"--plaintext", o.plaintext},
	} {
		if f.set {
			flags = append(flags, f.name)
		}
	}
	return flags
}

// protection is how one file is protected.
type protection struct {
	what   string        // for people and the audit chain
	codec  keyfile.Codec // of the clear text: the destination's, with the key where the format itself encrypts
	inside bool          // the format itself encrypts
	// seal begins the message around the file; nil: none.
	seal func(io.Writer) (io.WriteCloser, error)
	// open opens what seal made; nil: nobody here can.
	open func(io.ReadSeeker) (io.Reader, error)

	unwrap  string // command before the import, where the server does not read the message itself: of the clear file and the file
	keyFile string // what opens the file there, for the instructions
	key     secret.Bytes
	keyTo   string // file to make for the key; "": standard output, once
	secrets []secret.Bytes
}

// Destroy clears the keys.
func (p protection) Destroy() {
	p.key.Destroy()
	for _, s := range p.secrets {
		s.Destroy()
	}
}

// clearText is what the audit chain says of a file without protection.
const clearText = "in clear"

// protect reads the flags, and refuses what the destination cannot read. The caller destroys the protection.
func (a *app) protect(ctx context.Context, d destination, o protectFlags) (protection, error) {
	p := protection{what: clearText, codec: d.codec}
	_, own := d.codec.(pijson.Codec)
	asked := o.askedFor()
	switch {
	case len(asked) > 1:
		return p, usagef("a file is protected in one way: %s are several", strings.Join(asked, " and "))
	case o.signer != "" && (o.pskOut != "" || own):
		return p, usagef("--sign-with goes with --recipient or --plaintext")
	case len(o.recipients) > 0 || o.signer != "" && o.plaintext:
		return a.protectMessage(ctx, d, o)
	case own && (o.pskOut != "" || len(asked) == 0):
		return a.protectOwn(d, o)
	case own && o.plaintext && d.target != nil:
		return p, problemf(exitRefused, "%s does not import its format in clear", d.target.Name).hint("leave --plaintext out: a fresh key is printed, or goes to --psk-out FILE")
	case o.pskOut != "":
		return a.protectKey(d, o)
	case o.passphrase != "" && o.signer == "":
		return a.protectPassphrase(ctx, d, o)
	case o.plaintext, !holdsSecrets(d.codec):
		return p, nil
	}
	return p, problemf(exitRefused, "a key file holds secrets in clear, and that was not asked for").
		hint("encrypted: %s", advice(d)).hint("if you mean it: --plaintext")
}

// advice names the best protection that the destination reads.
func advice(d destination) string {
	_, isPSKC := d.codec.(pskc.Codec)
	switch {
	case d.target == nil && isPSKC, d.target != nil && d.reads(codecs.PresharedKey):
		return "--psk-out FILE, or --passphrase-file FILE"
	case d.target != nil && d.target.Signed:
		return "--recipient FILE --sign-with FILE, with the server's OpenPGP public key and your secret key"
	case d.target != nil && d.reads(codecs.OpenPGP):
		return "--recipient FILE, with the server's OpenPGP public key"
	case d.target != nil && d.reads(codecs.FernetKey):
		return "--psk-out FILE"
	case d.target == nil:
		return "--recipient KEY, an age public key or a file with an OpenPGP public key"
	}
	return "--recipient KEY for the way; " + d.target.Name + " itself reads clear files only"
}

// protectMessage wraps the file in OpenPGP or age.
func (a *app) protectMessage(ctx context.Context, d destination, o protectFlags) (protection, error) {
	if d.target != nil && d.target.Protect != 0 && !d.reads(codecs.OpenPGP) {
		return protection{}, problemf(exitRefused, "%s reads no OpenPGP and no age messages", d.target.Name).hint("it reads files encrypted by: %s", advice(d))
	}
	ages := 0
	for _, r := range o.recipients {
		switch {
		case strings.HasPrefix(strings.ToUpper(r), "AGE-SECRET-KEY-"): // never shown, not as the name of a file either
			return protection{}, usagef("--recipient: this is an age secret key, and its public key is wanted").hint("see it: age-keygen -y FILE")
		case strings.HasPrefix(r, "age1"):
			ages++
		}
	}
	switch {
	case ages == 0:
		return a.protectOpenPGP(ctx, d, o)
	case ages < len(o.recipients):
		return protection{}, usagef("--recipient: a file goes to age keys or to OpenPGP keys, not to both")
	case o.signer != "":
		return protection{}, usagef("--sign-with: age has no signatures").hint("use OpenPGP public keys for --recipient")
	case d.target != nil && d.target.Protect != 0:
		return protection{}, problemf(exitRefused, "%s does not read age files", d.target.Name).
			hint("it reads files encrypted by: %s", advice(d)).hint("age is for people and archives: with --format, or for servers that read clear files only")
	}
	p := protection{
		what: "age, to " + strings.Join(o.recipients, ", "), codec: d.codec, unwrap: "age --decrypt --identity SECRET-KEY-FILE --output %s %s",
		seal: func(w io.Writer) (io.WriteCloser, error) { return agefile.Seal(w, o.recipients...) },
	}
	return p, p.tried()
}

// tried begins a message to nobody, so that a key that cannot be used is found before anything is written. It asks for the
// passphrase of the signer's key.
func (p protection) tried() error {
	w, err := p.seal(io.Discard)
	if err != nil {
		return usageFault(err)
	}
	return w.Close()
}

// usageFault is err as the operator's fault, in a flag or the file that it names.
func usageFault(err error) error { return &problem{line: oneLine(err), code: exitUsage, cause: err} }

func (a *app) protectOpenPGP(ctx context.Context, d destination, o protectFlags) (p protection, err error) {
	p = protection{codec: d.codec}
	if d.target != nil && d.target.Signed && o.signer == "" {
		return p, problemf(exitRefused, "%s takes signed messages only", d.target.Name).hint("name your OpenPGP secret key: --sign-with FILE")
	}
	var e openpgp.Envelope
	e.Now = a.now
	var names []string
	for _, r := range o.recipients {
		keys, err := a.openPGPKeys(ctx, "--recipient", r)
		if err != nil {
			return p, err
		}
		names = append(names, keys.Names(a.now)...)
		e.To = e.To.And(keys)
	}
	what := "OpenPGP, to " + strings.Join(names, ", ")
	if len(names) == 0 {
		what = clearText + ", OpenPGP"
	}
	if o.signer != "" {
		if e.Signer, err = a.openPGPKeys(ctx, "--sign-with", o.signer); err != nil {
			return p, err
		}
		what += ", signed by " + strings.Join(e.Signer.Names(a.now), ", ")
		e.Ask = a.asker(ctx, printable(o.signer), opening{passphrase: asked(o.passphrase)})
	}
	p.what, p.seal = what, e.Seal
	if d.target == nil || !d.reads(codecs.OpenPGP) {
		p.unwrap = "gpg --output %s --decrypt %s"
	}
	return p, p.tried()
}

// prompted is the word for a passphrase that is asked for at the terminal.
const prompted = "prompt"

// asked is the file of a passphrase; "": somebody is asked.
func asked(file string) string {
	if file == prompted {
		return ""
	}
	return file
}

func (a *app) openPGPKeys(ctx context.Context, flag, name string) (openpgp.Keys, error) {
	text, err := a.readAll(ctx, name, openpgp.MaxKeyFile)
	if err != nil {
		return openpgp.Keys{}, err
	}
	defer text.Destroy()
	keys, err := openpgp.ReadKeys(text.Reveal())
	if err != nil {
		return keys, usagef("%s %s: %s", flag, printable(name), oneLine(err)).hint("write it: gpg --armor --export WHO > FILE (for --sign-with: --export-secret-keys)")
	}
	return keys, nil
}

// protectKey encrypts PSKC with a fresh pre-shared key.
func (a *app) protectKey(d destination, o protectFlags) (p protection, err error) {
	c, ok := d.codec.(pskc.Codec)
	if !ok || !d.reads(codecs.PresharedKey) {
		return p, problemf(exitRefused, "%s reads no file with a pre-shared key", d.name()).hint("it reads files encrypted by: %s", advice(d))
	}
	key, err := secret.Random(a.rand, pskc.PresharedKeySize)
	if err != nil {
		return p, err
	}
	c.Protect = pskc.Protection{Key: key, Random: a.rand}
	p = protection{what: "pre-shared key", codec: c, inside: true, keyTo: o.pskOut, keyFile: o.pskOut, secrets: []secret.Bytes{key}}
	if d.target != nil && d.target.RawKey {
		p.key = key.Clone()
		return p, nil
	}
	text := make([]byte, hex.EncodedLen(key.Len()), hex.EncodedLen(key.Len())+1)
	hex.Encode(text, key.Reveal())
	p.key = secret.New(append(text, '\n'))
	return p, nil
}

// protectOwn encrypts privacyIDEA's own format, always with a fresh key.
func (a *app) protectOwn(d destination, o protectFlags) (p protection, err error) {
	c := d.codec.(pijson.Codec)
	c.Now, c.Random = a.now, a.rand
	c, text, err := c.WithNewKey(a.rand)
	if err != nil {
		return p, err
	}
	defer text.Destroy()
	line := secret.New(append(append(make([]byte, 0, text.Len()+1), text.Reveal()...), '\n'))
	return protection{what: "Fernet key", codec: c, inside: true, key: line, keyTo: o.pskOut, secrets: []secret.Bytes{c.Key}}, nil
}

// protectPassphrase encrypts PSKC with a passphrase, and other formats by age.
func (a *app) protectPassphrase(ctx context.Context, d destination, o protectFlags) (p protection, err error) {
	c, isPSKC := d.codec.(pskc.Codec)
	if d.target != nil && d.target.Protect != 0 && !d.reads(codecs.Passphrase) {
		return p, problemf(exitRefused, "%s reads no file with a passphrase", d.target.Name).hint("it reads files encrypted by: %s", advice(d))
	}
	word, err := a.newPassphrase(ctx, o.passphrase)
	if err != nil {
		return p, err
	}
	p = protection{what: "passphrase", codec: d.codec, keyFile: asked(o.passphrase), secrets: []secret.Bytes{word}}
	if isPSKC && d.reads(codecs.Passphrase) {
		c.Protect = pskc.Protection{Password: word, Random: a.rand}
		p.codec, p.inside = c, true
		return p, nil
	}
	p.what, p.keyFile, p.unwrap = "age, with a passphrase", "", "age --decrypt --output %s %s"
	p.seal = func(w io.Writer) (io.WriteCloser, error) { return agefile.SealPassphrase(w, word) }
	p.open = func(f io.ReadSeeker) (io.Reader, error) {
		r, _, err := agefile.Open(f, func(keyfile.Need) (secret.Bytes, error) { return word.Clone(), nil })
		return r, err
	}
	return p, nil
}

// newPassphrase reads the passphrase of a new file; asked for, it is typed twice.
func (a *app) newPassphrase(ctx context.Context, file string) (secret.Bytes, error) {
	if file != prompted {
		return a.asker(ctx, "", opening{passphrase: file})(keyfile.Need{Means: keyfile.Passphrase})
	}
	if !a.stdinTTY {
		return secret.Bytes{}, usagef("nobody can be asked for a passphrase").hint("name a file that holds it")
	}
	var typed [2]secret.Bytes
	for i, prompt := range []string{"passphrase of the new file: ", "once more: "} {
		fmt.Fprint(a.stderr, prompt)
		text, err := a.readSecret(ctx)
		fmt.Fprintln(a.stderr)
		if err != nil {
			typed[0].Destroy()
			return secret.Bytes{}, err
		}
		typed[i] = secret.Copy([]byte(text))
	}
	defer typed[1].Destroy()
	switch {
	case typed[0].Len() == 0:
		return typed[0], usagef("no passphrase was typed")
	case !typed[0].Equal(typed[1]):
		typed[0].Destroy()
		return secret.Bytes{}, usagef("the two passphrases differ")
	}
	return typed[0], nil
}

// handOver gives the fresh key away: into its file, or once to standard output. undo takes the file back.
func (p protection) handOver() (undo func() error, err error) {
	if p.keyTo == "" {
		return func() error { return nil }, nil
	}
	err = makeFile(p.keyTo, func(f io.Writer) error {
		_, err := f.Write(p.key.Reveal())
		return err
	})
	return func() error { return os.Remove(p.keyTo) }, err
}

// clearName is what the file is called once it is decrypted.
func clearName(file string) string {
	switch ext := filepath.Ext(file); strings.ToLower(ext) {
	case ".age", ".asc", ".gpg", ".pgp":
		return strings.TrimSuffix(file, ext)
	}
	return file + ".clear"
}
