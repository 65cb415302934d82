package main

import (
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/codecs"
	"github.com/tokendesk/tokendesk/keyfile/pskc"
)

// writing is one file that is written, or one directory of files.
type writing struct {
	to      destination
	protect protection
	out     string
	records iter.Seq2[keyfile.Record, error] // can be read several times; destroys each record when its turn is over
}

// checkOut refuses what a file cannot be made as, before anything else is done.
func checkOut(flag, name string) error {
	info, err := os.Stat(name)
	switch {
	case name == "-", err == nil && info.Mode()&fs.ModeCharDevice != 0:
		return problemf(exitRefused, "secrets are not written to a terminal or a device").hint("name a file that does not exist: %s FILE", flag)
	case err == nil:
		return fileExists(name)
	}
	return nil
}

func fileExists(name string) error {
	return problemf(exitRefused, "%s exists; nothing is overwritten", printable(name)).hint("name a file that does not exist")
}

// checkOuts checks the two files that are made.
func checkOuts(out, keyOut string) error {
	if out == "" {
		return usagef("--out is missing: the file to make")
	}
	if err := checkOut("--out", out); err != nil || keyOut == "" {
		return err
	}
	if filepath.Clean(keyOut) == filepath.Clean(out) {
		return usagef("the key does not go into the file that it opens").hint("name another file: --psk-out FILE")
	}
	return checkOut("--psk-out", keyOut)
}

// writeOut tells what is lost, writes the file and the key, and tells what to do with them. It returns the number of
// records; for none, nothing is written.
func (a *app) writeOut(w writing) (n int, err error) {
	n, err = a.reportLoss(w.to, w.protect.inside, w.records)
	if err != nil || n == 0 {
		return n, err
	}
	undo, err := w.protect.handOver()
	if err != nil {
		return n, err
	}
	if w.to.perOwner() {
		err = w.directory()
	} else {
		err = w.file(w.out, w.records)
	}
	if err != nil {
		if errors.Is(err, pskc.ErrPassword) {
			err = usageFault(err)
		}
		return n, errors.Join(err, undo())
	}
	return n, a.sayWritten(w, n)
}

// sayWritten says what was checked and what comes next. The key that goes into no file is printed: this is its only copy.
func (a *app) sayWritten(w writing, n int) error {
	p := w.protect
	checked := "read again and compared"
	switch {
	case p.seal != nil && p.open == nil:
		checked = "compared on its way into the message, which only its recipients can open"
		if strings.HasPrefix(p.what, clearText) {
			checked = "compared on its way into the message"
		}
	case p.inside, p.open != nil:
		checked = "decrypted, read again and compared"
	}
	a.say("%s in %s, %s", count(n, "credential"), printable(w.out), checked)
	a.say("protection: %s", printable(p.what))
	name := w.out
	if w.to.perOwner() {
		name = filepath.Join(w.out, "ACCOUNT")
	}
	if p.unwrap != "" {
		a.say("open it first:\n  "+p.unwrap, codecs.Quoted(clearName(name)), codecs.Quoted(name))
		name = clearName(name)
	}
	if w.to.target != nil {
		a.say("import it:\n  %s", strings.ReplaceAll(w.to.target.Instructions(name, p.keyFile), "\n", "\n  "))
	}
	if p.what == clearText && holdsSecrets(p.codec) || p.unwrap != "" {
		a.say("remove the file in clear when it is imported")
	}
	switch {
	case p.key.Len() == 0:
	case p.keyTo != "":
		a.say("its key is in %s: send it another way than the file", printable(p.keyTo))
	default:
		a.say("its key, shown once; give it another way than the file:")
		_, err := a.stdout.Write(p.key.Reveal())
		return err
	}
	return nil
}

// directory makes a directory with a file for each account. What is not finished is removed.
func (w writing) directory() (err error) {
	if err := os.Mkdir(w.out, 0o700); errors.Is(err, fs.ErrExist) {
		return fileExists(w.out)
	} else if err != nil {
		return fileProblem(err, filepath.Dir(w.out))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(w.out))
		}
	}()
	for r, err := range w.records {
		if err != nil {
			return err
		}
		name := filepath.Join(w.out, r.Owner)
		if _, err := os.Lstat(name); err == nil {
			return &keyfile.LossError{Format: w.to.name(), Token: r.Name(), Loss: keyfile.Fatal("owner", twoTokens)}
		}
		if err := w.file(name, keyfile.All([]keyfile.Record{r})); err != nil {
			return err
		}
	}
	return nil
}

// twoTokens is why an account's second token is refused.
const twoTokens = "the account has another token here, and there its file holds one: name the token that it shall use"

// accountLoss says why no file can be named after r's owner; before is the owner of the record before.
func accountLoss(r keyfile.Record, before string) []keyfile.Loss {
	cause := ""
	switch {
	case r.Owner == "":
		cause = "nobody holds the token, and each file is one account's"
	case r.Owner == before:
		cause = twoTokens
	case !filepath.IsLocal(r.Owner) || strings.ContainsAny(r.Owner, `/\:`) || strings.HasPrefix(r.Owner, ".") || keyfile.BadText(r.Owner) != "":
		cause = "no file can be called like this account"
	default:
		return nil
	}
	return []keyfile.Loss{keyfile.Fatal("owner", cause)}
}

// file writes one file and compares what can be opened of it with the records, or else its clear text on the way.
func (w writing) file(name string, records iter.Seq2[keyfile.Record, error]) error {
	p := w.protect
	err := makeFile(name, func(f io.Writer) error {
		if p.seal == nil {
			return encode(p.codec, f, records)
		}
		message, err := p.seal(f)
		if err != nil {
			return err
		}
		if p.open == nil {
			err = encodeChecked(p.codec, message, records)
		} else {
			err = encode(p.codec, message, records)
		}
		return errors.Join(err, message.Close())
	})
	if err != nil || p.seal != nil && p.open == nil {
		return err
	}
	if err := w.again(name, records); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

// again reads a written file and compares it.
func (w writing) again(name string, records iter.Seq2[keyfile.Record, error]) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // read only
	var text io.Reader = f
	if w.protect.open != nil {
		if text, err = w.protect.open(f); err != nil {
			return err
		}
	}
	return keyfile.Check(w.protect.codec, text, records)
}

func encode(c keyfile.Codec, w io.Writer, records iter.Seq2[keyfile.Record, error]) error {
	out := c.NewEncoder(w)
	for r, err := range records {
		if err != nil {
			return err
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return out.Close()
}

// encodeChecked writes to w what encode writes, and compares the same bytes with the records meanwhile.
func encodeChecked(c keyfile.Codec, w io.Writer, records iter.Seq2[keyfile.Record, error]) error {
	r, copied := io.Pipe()
	checked := make(chan error, 1)
	go func() {
		err := keyfile.Check(c, r, records)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		_ = r.CloseWithError(err) // a writer that goes on gets it
		checked <- err
	}()
	err := encode(c, io.MultiWriter(w, copied), records)
	_ = copied.CloseWithError(err) // never fails
	if wrong := <-checked; err == nil {
		err = wrong
	}
	return err
}

// destroying destroys each record when its turn is over.
func destroying(records iter.Seq2[keyfile.Record, error]) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		for r, err := range records {
			more := yield(r, err)
			r.Destroy()
			if !more {
				return
			}
		}
	}
}
