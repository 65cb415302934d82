package appbackup

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/scrypt"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/otpauth"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Aegis is the vault of Aegis, plain or encrypted:
//
//	{"version":1,"header":{"slots":null,"params":null},"db":{"version":3,"entries":[…],"groups":[]}}
//
// An encrypted db is base64 under a master key; each slot of type 1 holds that key under a passphrase (scrypt). It is written
// in clear only, one entry a line.
type Aegis struct{ ask keyfile.Ask }

var (
	_ keyfile.Codec    = Aegis{}
	_ keyfile.Unlocker = Aegis{}
)

// aegisVersion is the greatest version of the file that is read.
const aegisVersion = 1

// Name implements keyfile.Reader.
func (Aegis) Name() string { return "aegis" }

// Unlock implements keyfile.Unlocker.
func (a Aegis) Unlock(ask keyfile.Ask) keyfile.Reader { return Aegis{ask} }

// Detect implements keyfile.Reader.
func (Aegis) Detect(head []byte) int { return detect(head, "{", 90, "header", "slots", "params") }

// Decode implements keyfile.Reader.
func (a Aegis) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return decode(a.Name(), r, a.open, parseAegis)
}

// aegisBytes are lower-case hexadecimal in the file.
type aegisBytes []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *aegisBytes) UnmarshalText(s []byte) error {
	out, err := hex.AppendDecode(nil, s)
	*b = out
	return err
}

type aegisParams struct{ Nonce, Tag aegisBytes }

type aegisSlot struct {
	Type   int
	Key    aegisBytes
	Params aegisParams `json:"key_params"`
	N      int
	R      int
	P      int
	Salt   aegisBytes
}

// passwordSlot is the type of a slot that a passphrase opens; others are for the device's own key store.
const passwordSlot = 1

// The limits of scrypt's parameters; Aegis writes 2^15, 8, 1, which takes 32 MiB.
const (
	maxScryptMemory = 256 << 20 // bytes, 128·N·r
	maxScryptWork   = 1 << 24   // N·r·p of all slots together: 64 of Aegis's
)

func (a Aegis) open(doc []byte) (opened, error) {
	var h struct {
		Version int
		Header  struct {
			Slots  []aegisSlot
			Params *aegisParams
		}
		DB json.RawMessage
	}
	if err := header(doc, &h); err != nil {
		return opened{}, err
	}
	if h.Version < 1 || h.Version > aegisVersion || len(h.DB) == 0 {
		return opened{}, ErrOther
	}
	if h.DB[0] != '"' {
		return opened{doc, []string{"db", "entries"}}, nil
	}
	var sealed []byte
	if json.Unmarshal(h.DB, &sealed) != nil || h.Header.Params == nil {
		return opened{}, ErrOther
	}
	key, err := a.masterKey(h.Header.Slots)
	defer clear(key)
	if err != nil {
		return opened{}, err
	}
	plain, err := openGCM(key, h.Header.Params.Nonce, append(sealed, h.Header.Params.Tag...))
	return opened{plain, []string{"entries"}}, err
}

// masterKey opens the slots with the passphrase, one after the other.
func (a Aegis) masterKey(slots []aegisSlot) ([]byte, error) {
	var tried []aegisSlot
	work := 0
	for _, s := range slots {
		if s.Type != passwordSlot {
			continue
		}
		if s.N < 2 || s.R < 1 || s.P < 1 || s.N > maxScryptMemory/128/s.R || s.P > maxScryptWork/s.N/s.R {
			return nil, ErrCostly
		}
		if work += s.N * s.R * s.P; work > maxScryptWork {
			return nil, ErrCostly
		}
		tried = append(tried, s)
	}
	if len(tried) == 0 {
		return nil, ErrOther
	}
	passphrase, err := askPassphrase(a.ask)
	defer passphrase.Destroy()
	if err != nil {
		return nil, err
	}
	for _, s := range tried {
		derived, err := scrypt.Key(passphrase.Reveal(), s.Salt, s.N, s.R, s.P, keySize)
		if err != nil { // N is no power of two
			return nil, ErrOther
		}
		key, err := openGCM(derived, s.Params.Nonce, append(s.Key, s.Params.Tag...))
		clear(derived)
		if err == nil {
			return key, nil
		}
	}
	return nil, ErrPassphrase
}

type aegisEntry struct {
	Type   string
	Name   string
	Issuer string
	Info   struct {
		Secret                  text
		Algo                    string
		Digits, Period, Counter json.Number
	}
}

func parseAegis(raw []byte) account {
	var e aegisEntry
	if field, note := unmarshal(raw, &e); note != "" {
		return bad(field, note)
	}
	return account{kind: e.Type, hash: e.Info.Algo, issuer: e.Issuer, name: e.Name, base32: e.Info.Secret,
		digits: e.Info.Digits, period: e.Info.Period, counter: e.Info.Counter}
}

// Carried implements keyfile.Codec.
func (Aegis) Carried(rec keyfile.Record) keyfile.Record { return otpauth.Codec{}.Carried(rec) }

// Loss implements keyfile.Codec.
func (Aegis) Loss(rec keyfile.Record) []keyfile.Loss { return otpauth.Losses(rec) }

// NewEncoder implements keyfile.Codec. The entries have no uuid: Aegis gives them one (its VaultEntry.fromJson).
func (a Aegis) NewEncoder(w io.Writer) keyfile.Encoder {
	comma := "\n"
	return &keyfile.RowEncoder{Codec: a, W: w,
		Head: `{"version":1,"header":{"slots":null,"params":null},"db":{"version":3,"entries":[`,
		Foot: "\n],\"groups\":[]}}\n",
		Append: func(dst []byte, rec keyfile.Record) []byte {
			dst = append(dst, comma...)
			comma = ",\n"
			return appendAegis(dst, rec)
		}}
}

func appendAegis(dst []byte, rec keyfile.Record) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, rec.Kind...)
	dst = append(dst, `","name":`...)
	dst = appendString(dst, otpauth.Account(rec))
	dst = append(dst, `,"issuer":`...)
	dst = appendString(dst, rec.Issuer)
	dst = append(dst, `,"note":"","favorite":false,"icon":null,"info":{"secret":"`...)
	dst = keyfile.AppendBase32(dst, rec.Key.Reveal())
	dst = append(dst, `","algo":"`...)
	dst = append(dst, strings.ToUpper(rec.Hash)...)
	dst = append(dst, `","digits":`...)
	dst = strconv.AppendInt(dst, int64(rec.Digits), 10)
	if rec.Kind == token.HOTP {
		dst = append(dst, `,"counter":`...)
		dst = strconv.AppendInt(dst, rec.Counter, 10)
	} else {
		dst = append(dst, `,"period":`...)
		dst = strconv.AppendInt(dst, int64(rec.Period/time.Second), 10)
	}
	return append(dst, `},"groups":[]}`...)
}

// appendString appends s as a JSON string; s is UTF-8.
func appendString(dst []byte, s string) []byte {
	b, _ := json.Marshal(s) // a string always encodes
	return append(dst, b...)
}

// unbase64 is base64 with padding; nil for other text.
func unbase64(s []byte) []byte {
	out, err := base64.StdEncoding.AppendDecode(nil, s)
	if err != nil {
		return nil
	}
	return out
}
