package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/agefile"
	"github.com/tokendesk/tokendesk/keyfile/codecs"
	"github.com/tokendesk/tokendesk/keyfile/envelope"
	"github.com/tokendesk/tokendesk/keyfile/openpgp"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/keyfile/seedtable"
)

// opening is how key files are opened: the flags of every command that reads one.
type opening struct {
	format     string
	passphrase string // files
	psk        string
	identity   string
	signedBy   string
	vendorFlags
	ask keyfile.Ask // answers instead of the files and the terminal; nil: none
}

func (o *opening) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "", "format of the file, when it is not found by itself: a word of keyfile formats")
	f.StringVar(&o.psk, "psk-file", "", "file with the pre-shared key of an encrypted file: hexadecimal text, or raw bytes")
	o.wrappingFlags(cmd)
	complete(cmd, "format", codecs.ReaderNames()...)
	o.vendorFlags.flags(cmd)
}

// wrappingFlags are those of a file that only may be wrapped.
func (o *opening) wrappingFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.passphrase, "passphrase-file", "", "file with the passphrase of an encrypted file or identity, when nobody can be asked")
	f.StringVar(&o.identity, "identity", "", "file with the OpenPGP or age secret key that an encrypted file is for")
	f.StringVar(&o.signedBy, "signed-by", "", "file with an OpenPGP public key: refuse a file that is not signed by it")
}

// wrapping is what is around a key file.
type wrapping string

// The wrappings.
const (
	noWrapping wrapping = ""
	inOpenPGP  wrapping = "OpenPGP"
	inAge      wrapping = "age"
)

// keySource is a key file in clear, as far as that does not take the format's own key. Close it.
type keySource struct {
	*input
	reader  keyfile.Reader // asks for what opens the format's own encryption
	sure    int            // of the format, 1 to 100; 100 when it was named
	wrapped wrapping
	info    envelope.Info
	text    *bufio.Reader // the clear text from its beginning; its whole buffer is sample
	sample  []byte        // the first bytes, up to sampleSize; valid until text is read
	more    bool          // the file goes on behind the sample
	locked  bool          // the format itself asked for a key or passphrase
	notices []string      // what the reader noticed and passed over, the first mostShown
	noticed int           // how many there were
	closers []io.Closer
}

// sampleSize gives seedtable as much text as it wants, in UTF-16 too.
const sampleSize = 2 * seedtable.SampleSize

// openKeyFile opens a key file, or standard input for "-": first what is wrapped around it, then its format. The format's own
// encryption is opened by reader, while it reads.
func (a *app) openKeyFile(ctx context.Context, name string, o opening) (k *keySource, err error) {
	if k, err = a.openText(ctx, name, o); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(k.fault(err), k.Close())
			k = nil
		}
	}()
	if k.reader, k.sure, err = detect(k.name, k.sample, o.format); err != nil {
		return k, err
	}
	if err := k.configure(o.vendorFlags); err != nil {
		return k, err
	}
	if u, ok := k.reader.(keyfile.Unlocker); ok {
		ask := a.asker(ctx, k.name, o)
		k.reader = u.Unlock(func(n keyfile.Need) (secret.Bytes, error) {
			k.locked = true
			return ask(n)
		})
	}
	return k, nil
}

// openText opens a file, or standard input for "-", and what is wrapped around it. Everything that a wrapping yields is authenticated.
func (a *app) openText(ctx context.Context, name string, o opening) (k *keySource, err error) {
	in, err := a.openInput(ctx, name)
	if err != nil {
		return nil, err
	}
	k = &keySource{input: in, closers: []io.Closer{in}}
	defer func() {
		if err != nil {
			err = errors.Join(in.fault(err), k.Close())
			k = nil
		}
	}()
	head := make([]byte, codecs.HeadSize)
	n, err := io.ReadFull(in, head)
	head = head[:n]
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return k, err
	}
	if n == 0 {
		return k, usagef("%s is empty", in.name)
	}
	text, err := a.unwrap(ctx, k, head, o)
	if err != nil {
		return k, err
	}
	k.text = bufio.NewReaderSize(text, sampleSize)
	k.sample, err = k.text.Peek(sampleSize)
	if k.more = err == nil; err != nil && err != io.EOF {
		return k, err
	}
	return k, nil
}

// unwrap takes off what is around the file that begins with head, which was read already.
func (a *app) unwrap(ctx context.Context, k *keySource, head []byte, o opening) (io.Reader, error) {
	pgp := openpgp.Detect(head)
	if !pgp && !agefile.Detect(head) {
		if o.signedBy != "" {
			return nil, problemf(exitRefused, "%s is not an OpenPGP message, so nobody has signed it", k.name).hint("leave --signed-by out to read it nevertheless")
		}
		return io.MultiReader(bytes.NewReader(head), k.input), nil
	}
	src, err := k.again(head)
	if err != nil {
		return nil, err
	}
	ask := a.asker(ctx, k.name, o)
	var text io.Reader
	if pgp {
		k.wrapped = inOpenPGP
		signers, err := a.signers(ctx, o.signedBy)
		if err != nil {
			return nil, err
		}
		typed := false
		text, k.info, err = openpgp.Opener{Signers: signers, Now: a.now, Ask: func(n keyfile.Need) (secret.Bytes, error) {
			typed = typed || n.Means == keyfile.Passphrase && n.Hint == ""
			return ask(n)
		}}.Open(src)
		if typed && errors.Is(err, envelope.ErrBroken) {
			return nil, usagef("%s: %s", k.name, oneLine(err)).hint("a wrong passphrase looks the same")
		}
		return text, err
	}
	k.wrapped = inAge
	if o.signedBy != "" {
		return nil, problemf(exitRefused, "%s is an age file, which cannot be signed", k.name).hint("leave --signed-by out to read it nevertheless")
	}
	text, k.info, err = agefile.Open(src, ask)
	return text, err
}

// again makes an encrypted file readable two times, from its beginning; head was read of it already.
func (k *keySource) again(head []byte) (io.ReadSeeker, error) {
	if f, ok := k.r.(*os.File); ok {
		if _, err := f.Seek(0, io.SeekStart); err == nil {
			return &seekable{k.input, f}, nil
		}
	}
	f, err := envelope.Spool(io.MultiReader(bytes.NewReader(head), k.input))
	if err != nil {
		return nil, err
	}
	k.closers = append(k.closers, f)
	return f, nil
}

// seekable is an input that is a regular file.
type seekable struct {
	*input
	io.Seeker
}

// Close clears the buffer, as far as it was not copied, and closes what is open.
func (k *keySource) Close() error {
	clear(k.sample[:cap(k.sample)])
	var err error
	for _, c := range k.closers {
		err = errors.Join(err, c.Close())
	}
	return err
}

// fault is err as the command says it: problems as they are, everything else as the file's fault (blame).
func (in *input) fault(err error) error {
	var p *problem
	switch {
	case in.failed != nil:
	case errors.As(err, &p):
		return p
	case errors.Is(err, context.Canceled): // while somebody was asked
		return err
	}
	p, _ = in.blame(err).(*problem)
	if errors.Is(err, seedtable.ErrPeriod) && p != nil {
		return p.hint("--period 30 or --period 60")
	}
	return in.blame(err)
}

// signers reads the public keys of --signed-by.
func (a *app) signers(ctx context.Context, name string) (openpgp.Keys, error) {
	if name == "" {
		return openpgp.Keys{}, nil
	}
	return a.openPGPKeys(ctx, "--signed-by", name)
}

// detect chooses the format by name, or by the file's first bytes.
func detect(name string, head []byte, format string) (keyfile.Reader, int, error) {
	if format != "" {
		c, ok := codecs.ReaderByName(format)
		if !ok {
			return nil, 0, usagef("--format %s is unknown", printable(format)).hint("the formats: tokendesk keyfile formats")
		}
		return c, 100, nil
	}
	if len(head) == 0 {
		return nil, 0, usagef("%s is empty", name)
	}
	c, sure := codecs.Detect(head[:min(len(head), codecs.HeadSize)])
	err := keyfile.Unreadable(head)
	if sure > 0 && (err == nil || errors.Is(err, keyfile.ErrUTF16) && isVendors(c) && isVendors(inUTF8(head))) { // a table may be UTF-16, other formats not
		return c, sure, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if isPicture(head) {
		return nil, 0, usagef("%s is a picture", name).hint("take in the QR codes in it: tokendesk keyfile import --qr FILE")
	}
	return nil, 0, usagef("%s is in no format that is known here", name).
		hint("name it by --format; the formats: tokendesk keyfile formats")
}

// isPicture reports whether a file begins as PNG or JPEG do. Sources: PNG (third edition) §5.2; ITU-T T.81 §B.1.1.3.
func isPicture(head []byte) bool {
	return bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")) || bytes.HasPrefix(head, []byte{0xFF, 0xD8, 0xFF})
}

func isVendors(r keyfile.Reader) bool {
	_, ok := r.(seedtable.Reader)
	return ok
}

// inUTF8 is the format of a UTF-16 file if it were UTF-8.
func inUTF8(head []byte) keyfile.Reader {
	order := binary.ByteOrder(binary.LittleEndian)
	if head[0] == 0xFE {
		order = binary.BigEndian
	}
	units := make([]uint16, 0, codecs.HeadSize)
	for rest := head[2:]; len(rest) > 1 && len(units) < codecs.HeadSize; rest = rest[2:] {
		units = append(units, order.Uint16(rest))
	}
	text := []byte(string(utf16.Decode(units)))
	clear(units)
	defer clear(text)
	c, _ := codecs.Detect(text)
	return c
}
