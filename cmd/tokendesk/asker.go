package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/openpgp"
	"github.com/tokendesk/tokendesk/keyfile/pskc"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// maxSecretFile is the largest file of --passphrase-file and --psk-file, in bytes.
const maxSecretFile = 4096

// means is where an answer to keyfile.Need comes from.
type means struct {
	flag   string
	file   func(opening) string
	size   int  // of the file at most
	typed  bool // may be asked for at a terminal
	prompt string
	read   func([]byte) secret.Bytes // makes the answer of the file's or the terminal's text, of which it owns nothing
}

// meansOf is a table: what answers to each need.
func meansOf(m keyfile.Means) means {
	return map[keyfile.Means]means{
		keyfile.Passphrase:   {"--passphrase-file", func(o opening) string { return o.passphrase }, maxSecretFile, true, "passphrase", readPassphrase},
		keyfile.PresharedKey: {"--psk-file", func(o opening) string { return o.psk }, maxSecretFile, true, "pre-shared key, in hexadecimal", readPresharedKey},
		keyfile.PrivateKey:   {"--identity", func(o opening) string { return o.identity }, openpgp.MaxKeyFile, false, "secret key", secret.Copy},
	}[m]
}

// asker answers what opens the key file called name: by the files of o, or by asking at a terminal with echo off.
func (a *app) asker(ctx context.Context, name string, o opening) keyfile.Ask {
	if o.ask != nil {
		return o.ask
	}
	return func(n keyfile.Need) (secret.Bytes, error) {
		m := meansOf(n.Means)
		if file := m.file(o); file != "" {
			text, err := a.readAll(ctx, file, m.size)
			if err != nil {
				return text, err
			}
			defer text.Destroy()
			return answered(m, text.Reveal(), m.flag+" "+printable(file))
		}
		of := name
		if n.Hint != "" {
			of += fmt.Sprintf(" (%.100s)", printable(n.Hint))
		}
		if !m.typed || !a.stdinTTY {
			p := usagef("%s is encrypted, and its %s is needed", of, n.Means).hint("name the file that holds it: %s FILE", m.flag)
			p.cause = keyfile.ErrLocked
			return secret.Bytes{}, p
		}
		fmt.Fprintf(a.stderr, "%s: %s: ", of, m.prompt)
		text, err := a.readSecret(ctx)
		fmt.Fprintln(a.stderr)
		if err != nil {
			return secret.Bytes{}, err
		}
		return answered(m, []byte(text), "the "+string(n.Means))
	}
}

// answered refuses an empty answer.
func answered(m means, text []byte, what string) (secret.Bytes, error) {
	answer := m.read(text)
	if answer.Len() == 0 {
		return answer, usagef("%s is empty", what)
	}
	return answer, nil
}

// readPassphrase is the text without the line end behind it.
func readPassphrase(text []byte) secret.Bytes {
	text = bytes.TrimSuffix(text, []byte("\n"))
	return secret.Copy(bytes.TrimSuffix(text, []byte("\r")))
}

// readPresharedKey decodes hexadecimal text. Other text, such as privacyIDEA's base64, is the answer without blanks around it;
// what is no text, or as long as a raw AES-128 key, is raw.
func readPresharedKey(text []byte) secret.Bytes {
	if len(text) == pskc.PresharedKeySize {
		return secret.Copy(text)
	}
	trimmed := bytes.TrimSpace(text)
	key := make([]byte, hex.DecodedLen(len(trimmed)))
	if _, err := hex.Decode(key, trimmed); err == nil {
		return secret.New(key)
	}
	clear(key)
	if bytes.ContainsFunc(trimmed, func(r rune) bool { return r < ' ' || r > '~' }) {
		return secret.Copy(text)
	}
	return secret.Copy(trimmed)
}

// readAll reads a file of secrets whole.
func (a *app) readAll(ctx context.Context, name string, most int) (secret.Bytes, error) {
	in, err := a.openInput(ctx, name)
	if err != nil {
		return secret.Bytes{}, err
	}
	defer func() { _ = in.Close() }() // read only
	text := make([]byte, 0, min(most, maxSecretFile)+1)
	defer func() { clear(text[:cap(text)]) }()
	for len(text) <= most {
		if len(text) == cap(text) {
			grown := make([]byte, len(text), 2*cap(text))
			copy(grown, text)
			clear(text)
			text = grown
		}
		n, err := in.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		if err == io.EOF {
			return secret.Copy(text), nil
		}
		if err != nil {
			return secret.Bytes{}, in.blame(err)
		}
	}
	return secret.Bytes{}, usagef("%s is too large: %d bytes at most", in.name, most)
}
