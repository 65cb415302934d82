// Package seedtable reads the tables of serials and seeds that token vendors send: CSV and TXT in no fixed form.
//
//	serial number,secret key,time interval,manufacturer,model     2600135004013 ZDCIYHSJZO5TKUL6J5AU6JSXT6AILWKV
//	2600135004013,ZDCIYHSJ…,60,Feitian,c200                      2600135004014 BZU5GRA6GBGAC4TOFIYUIVCX3RL5BMMO
//
// What a file means is decided once, from its first SampleSize bytes: character set, separator, columns by the words of a header
// or by their shape, and the encoding of the seeds by what most rows of the sample fit. The Report says all of it and how sure
// it is; Survey makes the report without reading the file. Then the rows stream by in constant memory, and a row that
// contradicts the decision is a *keyfile.RowError. What Options says beats the file, and the file beats the defaults: totp, 6
// digits, sha1. There is no default for the period, because a wrong one gives codes that look right: Decode ends with ErrPeriod.
//
// A spreadsheet's damage is refused, never mended: numbers like 1.00012E+12, and serials that lost their leading zeros (all
// digits and shorter than those of nine rows in ten of the sample).
//
// Duplicates: of the first MaxRemembered rows the serials are remembered. A row that repeats one with the same seed is left out
// and told; with another seed it is an error. Later ones are for the store to notice.
//
// Source: reference key-files.md §9, §2, §8.9.
package seedtable

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Options is what somebody knows about a file. Zero fields are left to the file.
type Options struct {
	Kind     token.Kind // HOTP or TOTP
	Digits   int
	Hash     string
	Period   time.Duration
	Encoding Encoding
}

// Reader is the format; its zero value is ready.
type Reader struct {
	Options
	// Tell gets what is noticed while the rows stream by: duplicates that were left out, Latin-1 after the sample. May be nil.
	Tell func(Finding)
}

var _ keyfile.Reader = Reader{}

// Limits, in bytes and rows. A vendor's row is 60 to 200 bytes long, so that the sample has some hundred rows.
const (
	SampleSize    = 64 << 10
	MaxRemembered = 1 << 16
	maxColumns    = 64
)

// What ends the reading of a file.
var (
	ErrNoSeeds  = errors.New("no column looks like a seed in hexadecimal, base32, base64 or decimal digits")
	ErrNoSerial = errors.New("no column names the tokens")
	ErrPeriod   = errors.New("the file does not say how long a code lasts, and 30 and 60 seconds are both common: look at a token and name the period")
)

// Name implements keyfile.Reader.
func (Reader) Name() string { return "seed-table" }

// Detect implements keyfile.Reader. It is never surer than a format that has a fixed form. An archive is 1, so that Decode says
// what it is.
func (c Reader) Detect(head []byte) int {
	switch foreign(head) {
	case ErrZIP, ErrArchive, ErrExcel:
		return 1
	}
	report, l, err := c.survey(&text{r: bytes.NewReader(head)}, 2*len(head)) // Latin-1 doubles in UTF-8
	switch {
	case err != nil || 2*report.Seed.Rows < report.Rows:
		return 0
	case l.header != nil:
		return 60
	}
	return 40
}

// Survey reads at most SampleSize bytes, as UTF-8, and says what Decode would make of a file that begins so.
func (c Reader) Survey(r io.Reader) (Report, error) {
	report, _, err := c.survey(&text{r: r}, SampleSize)
	if err != nil {
		return Report{}, fmt.Errorf("%s: %w", c.Name(), err)
	}
	return report, nil
}

func (c Reader) survey(t *text, size int) (Report, layout, error) {
	head, more, err := sampleOf(bufio.NewReaderSize(t, max(size, 16)), size)
	if err != nil {
		return Report{}, layout{}, err
	}
	defer clear(head)
	defer t.clear()
	return c.decide(head, more, t)
}

// sampleOf looks at the first bytes without consuming them. more: the last line may be cut.
func sampleOf(b *bufio.Reader, size int) (head []byte, more bool, err error) {
	head, err = b.Peek(size)
	if err == io.EOF {
		return head, false, nil
	}
	return head, true, err
}

// Decode implements keyfile.Reader. Empty lines and lines that begin with # are passed over, also the header where it comes again.
func (c Reader) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		t := &text{r: r}
		defer t.clear()
		b := bufio.NewReaderSize(t, SampleSize)
		head, more, err := sampleOf(b, SampleSize)
		defer clear(head) // the whole buffer of b when the file fills it
		var report Report
		var l layout
		if err == nil {
			report, l, err = c.decide(head, more, t)
		}
		if err == nil && report.NeedsPeriod() {
			err = ErrPeriod
		}
		if err != nil {
			yield(keyfile.Record{}, fmt.Errorf("%s: %w", c.Name(), err))
			return
		}
		p := newParser(report, l, c)
		keyfile.DecodeLines(c.Name(), b, p.parse)(yield)
		if t.charset == Latin1 && report.Charset != Latin1 {
			p.tell(0, "after the sample there are bytes that are not UTF-8; they were read as Latin-1")
		}
	}
}
