// Package agefile is the envelope of age (age-encryption.org/v1): a file encrypted to public keys, "age1…", or with a
// passphrase. What is written is armoured, unless it is large; armoured and binary files are read. There are no signatures: whoever has the public
// key can make a file, and the reader learns only that nobody changed it.
//
// Keys are X25519 and the post-quantum hybrid of age 1.3; SSH keys and plugins are not taken.
package agefile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/envelope"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

const (
	kind  = "AGE ENCRYPTED FILE"
	intro = "age-encryption.org/v1\n"

	// maxHeader is the most that stands before the encrypted bytes. A hybrid recipient takes 1.7 KiB.
	maxHeader = 256 << 10
	// maxWork bounds what a hostile file can make scrypt use: 2^19 * 1 KiB = 512 MiB. age itself writes 18.
	maxWork = 19
)

// ErrKey is a text that is no age key. The text is never shown: it may be a secret key in the wrong place.
var ErrKey = errors.New("no age key: a public key begins with age1, a secret key with AGE-SECRET-KEY-")

// Detect reports whether a file that begins with head is an age file.
func Detect(head []byte) bool {
	return bytes.HasPrefix(head, []byte(intro)) || envelope.Armoured(head, kind)
}

// Seal begins an armoured file for the owners of the public keys, of which there is one at least. Close ends the file; it does
// not close w.
func Seal(w io.Writer, publicKeys ...string) (io.WriteCloser, error) {
	to, err := recipients(publicKeys)
	if err != nil {
		return nil, err
	}
	return seal(w, to)
}

// SealBinary is Seal without armour, which makes a file a third longer.
func SealBinary(w io.Writer, publicKeys ...string) (io.WriteCloser, error) {
	to, err := recipients(publicKeys)
	if err != nil {
		return nil, err
	}
	return bareSeal(w, to)
}

func recipients(publicKeys []string) (to []age.Recipient, err error) {
	for i, text := range publicKeys {
		one, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil || len(one) != 1 {
			return nil, fmt.Errorf("age: recipient %d: %w", i+1, ErrKey) // the parser's error repeats the text
		}
		to = append(to, one[0])
	}
	return to, nil
}

// SealPassphrase begins an armoured file that a passphrase opens. Copies of the passphrase stay in memory.
func SealPassphrase(w io.Writer, passphrase secret.Bytes) (io.WriteCloser, error) {
	to, err := age.NewScryptRecipient(string(passphrase.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("age: %w", err)
	}
	return seal(w, []age.Recipient{to})
}

// SealBinaryPassphrase is SealPassphrase without armour.
func SealBinaryPassphrase(w io.Writer, passphrase secret.Bytes) (io.WriteCloser, error) {
	to, err := age.NewScryptRecipient(string(passphrase.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("age: %w", err)
	}
	return bareSeal(w, []age.Recipient{to})
}

func seal(w io.Writer, to []age.Recipient) (io.WriteCloser, error) {
	outer := armor.NewWriter(w)
	inner, err := bareSeal(outer, to)
	if err != nil {
		return nil, err
	}
	return envelope.Chain(inner, outer), nil
}

func bareSeal(w io.Writer, to []age.Recipient) (io.WriteCloser, error) {
	inner, err := age.Encrypt(w, to...)
	if err != nil {
		return nil, fmt.Errorf("age: %w", err)
	}
	return inner, nil
}

// Open returns the clear text of the file that src holds from its present position on; every byte of it is authenticated
// before the first is read (envelope.Twice). It asks for the secret keys, lines as age-keygen writes them, or for the
// passphrase; a key file that is itself an age file with a passphrase is opened too. The errors are keyfile.ErrLocked without
// ask, envelope.ErrWrongKey, ErrWork and envelope.ErrBroken, and those of ask and of src.
func Open(src io.ReadSeeker, ask keyfile.Ask) (io.Reader, envelope.Info, error) {
	info := envelope.Info{Encrypted: true}
	fileKey, err := unlock(src, ask)
	if err != nil {
		return nil, info, fmt.Errorf("age: %w", err)
	}
	defer fileKey.Destroy()
	key := age.NewInjectedFileKeyIdentity(fileKey.Reveal())
	r, err := envelope.Twice(src, func(r io.Reader) (io.Reader, error) {
		clearText, err := age.Decrypt(bare(r), key)
		return &translated{clearText}, broken(err)
	})
	if err != nil {
		return nil, info, fmt.Errorf("age: %w", err)
	}
	return r, info, nil
}

// unlock reads the header and leaves src where it was.
func unlock(src io.ReadSeeker, ask keyfile.Ask) (secret.Bytes, error) {
	start, err := src.Seek(0, io.SeekCurrent)
	if err != nil {
		return secret.Bytes{}, err
	}
	header, err := age.ExtractHeader(io.LimitReader(bare(src), maxHeader))
	if err != nil {
		return secret.Bytes{}, envelope.ErrBroken
	}
	if _, err := src.Seek(start, io.SeekStart); err != nil {
		return secret.Bytes{}, err
	}
	if ask == nil {
		return secret.Bytes{}, keyfile.ErrLocked
	}
	ids, err := identities(header, ask)
	if err != nil {
		return secret.Bytes{}, err
	}
	fileKey, err := age.DecryptHeader(header, ids...)
	if none := (*age.NoIdentityMatchError)(nil); errors.As(err, &none) || errors.Is(err, age.ErrIncorrectIdentity) {
		return secret.Bytes{}, envelope.ErrWrongKey
	}
	if err != nil {
		return secret.Bytes{}, broken(err)
	}
	return secret.New(fileKey), nil
}

// ErrWork is a file whose passphrase needs more memory than this program gives: 512 MiB.
var ErrWork = fmt.Errorf("the file's scrypt work factor is above %d", maxWork)

// scryptStanza finds the one kind of recipient that is a passphrase, and its work factor.
var scryptStanza = regexp.MustCompile(`(?m)^-> scrypt \S+ (\d+)$`)

// identities asks for what the header wants.
func identities(header []byte, ask keyfile.Ask) ([]age.Identity, error) {
	found := scryptStanza.FindSubmatch(header)
	if found == nil {
		return privateKeys(ask)
	}
	if work, err := strconv.Atoi(string(found[1])); err != nil || work > maxWork {
		return nil, ErrWork
	}
	passphrase, err := ask(keyfile.Need{Means: keyfile.Passphrase})
	if err != nil {
		return nil, err
	}
	defer passphrase.Destroy()
	id, err := age.NewScryptIdentity(string(passphrase.Reveal()))
	if err != nil {
		return nil, envelope.ErrWrongKey
	}
	id.SetMaxWorkFactor(maxWork)
	return []age.Identity{id}, nil
}

// privateKeys asks for a key file, and for its passphrase when it has one.
func privateKeys(ask keyfile.Ask) ([]age.Identity, error) {
	file, err := ask(keyfile.Need{Means: keyfile.PrivateKey})
	if err != nil {
		return nil, err
	}
	defer file.Destroy()
	var lines io.Reader = bytes.NewReader(file.Reveal())
	if Detect(file.Reveal()) {
		lines, _, err = Open(bytes.NewReader(file.Reveal()), func(n keyfile.Need) (secret.Bytes, error) {
			if n.Means != keyfile.Passphrase {
				return secret.Bytes{}, ErrKey // a key file for the key file
			}
			return ask(keyfile.Need{Means: n.Means, Hint: "the age key file"})
		})
		if err != nil {
			return nil, fmt.Errorf("the key file: %w", err)
		}
	}
	ids, err := age.ParseIdentities(lines)
	if err != nil {
		return nil, ErrKey
	}
	return ids, nil
}

// bare takes the armour off, if there is one.
func bare(r io.Reader) io.Reader {
	b := bufio.NewReader(r)
	if head, _ := b.Peek(len(intro)); string(head) == intro {
		return b
	}
	return envelope.Unarmour(b, kind)
}

// broken is err as the caller sees it; age's own errors repeat pieces of the file.
func broken(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return envelope.ErrBroken
}

// translated passes only our errors on.
type translated struct{ io.Reader }

// Read implements io.Reader.
func (t *translated) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	return n, broken(err)
}
