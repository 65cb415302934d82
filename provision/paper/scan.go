package paper

import (
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// ScanKind says what a scanner typed.
type ScanKind string

// The kinds of what is typed into a desk's field.
const (
	ScanNothing ScanKind = ""
	ScanPerson  ScanKind = "person"  // a person's card, by the site's rule: Value is the account
	ScanReceipt ScanKind = "receipt" // the QR code of a receipt: Value is its number, Checkpoint what is printed on it
	ScanOTP     ScanKind = "otp"     // a key was touched while the field was open: Value is its public ID, the OTP is gone
	ScanQuery   ScanKind = "query"   // anything else: a stock number or serial from a label, or what a person typed
)

// Scan is what a scanner typed. It never holds an OTP.
type Scan struct {
	Kind       ScanKind
	Value      string
	Checkpoint Checkpoint
}

// MaxScan is the longest line of a scanner, in bytes. What is longer is cut.
const MaxScan = 512

// Scan reads one line as a hand-held scanner types it, with or without the Enter at its end.
func (p *Press) Scan(line string) Scan { return p.site.card.scan(line) }

func (c cardRule) scan(line string) Scan {
	line = clean(line[:min(len(line), MaxScan)])
	if line == "" {
		return Scan{}
	}
	if s, ok := parseReceiptCode(line); ok {
		return s
	}
	if id, ok := otp(line); ok {
		return Scan{Kind: ScanOTP, Value: id}
	}
	if account, ok := c.person(line); ok {
		return Scan{Kind: ScanPerson, Value: account}
	}
	return Scan{Kind: ScanQuery, Value: line}
}

// otpLen is the encrypted part of an OTP in ModHex characters, publicIDLen the longest public ID. Source: reference yubikey-otp.md §1.1.
const (
	otpLen      = 32
	publicIDLen = 32
)

// otp is the public ID of a Yubico OTP.
func otp(line string) (string, bool) {
	if len(line) < otpLen || len(line) > otpLen+publicIDLen {
		return "", false
	}
	if _, err := modhex.DecodeString(line); err != nil {
		return "", false
	}
	return strings.ToLower(line[:len(line)-otpLen]), true
}

// pattern is text around {}, which stands for a card's number.
type pattern struct{ before, after string }

func parsePattern(s string) (*pattern, error) {
	before, after, ok := strings.Cut(s, "{}")
	if !ok || strings.Contains(after, "{}") {
		return nil, errors.New("is text with {} in it, once, where the number stands")
	}
	return &pattern{before, after}, nil
}

// cardRule is how a site's cards are scanned, and the account that their number stands for. Without card no line is a person's.
type cardRule struct{ card, account *pattern }

func (c cardRule) person(line string) (string, bool) {
	if c.card == nil {
		return "", false
	}
	rest, begun := strings.CutPrefix(line, c.card.before)
	number, ended := strings.CutSuffix(rest, c.card.after)
	if !begun || !ended || number == "" || strings.ContainsFunc(number, unicode.IsSpace) {
		return "", false
	}
	if c.account == nil {
		return number, true
	}
	return c.account.before + number + c.account.after, true
}

// receiptMark begins the code of a receipt. The code is of characters that a QR code holds in its alphanumeric mode, so that it stays small.
const receiptMark = "TD1R"

// receiptCode is what a receipt's QR code says: mark, number of the receipt, number of the audit event, its hash; between them dots,
// which a scanner types right on every keyboard layout.
func receiptCode(r Receipt) string {
	number := strings.Map(func(c rune) rune {
		if strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", c) {
			return c
		}
		return -1
	}, strings.ToUpper(r.Number))
	hash := strings.ToUpper(clean(r.Checkpoint.Hash))
	if !isHash(hash) {
		hash = ""
	}
	return strings.Join([]string{receiptMark, number, strconv.FormatInt(max(r.Checkpoint.Seq, 0), 10), hash}, ".")
}

// hashLen is a SHA-256 in hexadecimal.
const hashLen = 64

func isHash(s string) bool {
	return (len(s) == hashLen || s == "") && strings.Trim(s, "0123456789ABCDEF") == ""
}

// parseReceiptCode reads what receiptCode wrote. A scanner that is set to another layout types ß or / instead of a hyphen.
func parseReceiptCode(line string) (Scan, bool) {
	parts := strings.Split(strings.ToUpper(line), ".")
	if len(parts) != 4 || parts[0] != receiptMark || !isHash(parts[3]) {
		return Scan{}, false
	}
	seq, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || seq < 0 || strconv.FormatInt(seq, 10) != parts[2] {
		return Scan{}, false
	}
	number := strings.NewReplacer("ß", "-", "ẞ", "-", "/", "-").Replace(parts[1])
	if number == "" || !utf8.ValidString(number) || strings.ContainsFunc(number, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsSpace(r) }) {
		return Scan{}, false
	}
	return Scan{Kind: ScanReceipt, Value: number, Checkpoint: Checkpoint{Seq: seq, Hash: strings.ToLower(parts[3])}}, true
}
