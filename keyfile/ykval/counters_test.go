package ykval

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/provision/token"
)

// row is the example of reference validation-protocol.md §13.
const row = "1,1359470658,1359470659,cccccccccccb,2,1,32729,4,aoincuhfuahs\n"

func decodeCounters(text string) (out []Counters, errs []error) {
	for c, err := range DecodeCounters(strings.NewReader(text)) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, c)
	}
	return out, errs
}

func TestDecodeCounters(t *testing.T) {
	t.Parallel()
	want := Counters{Line: 1, Active: true, Modified: time.Unix(1359470659, 0).UTC(), Use: 2, Session: 1, Timestamp: 4<<16 | 32729, Nonce: "aoincuhfuahs"}
	want.PublicID = publicID(t, "cccccccccccb")
	with := func(change func(*Counters)) Counters {
		c := want
		change(&c)
		return c
	}
	for _, tc := range []struct {
		name, text string
		want       Counters
	}{
		{"reference", row, want},
		{"CRLF", strings.ReplaceAll(row, "\n", "\r\n"), want},
		{"comments, blank lines, BOM", "\xEF\xBB\xBF# counters\n\n" + row, with(func(c *Counters) { c.Line = 3 })},
		{"no line end", strings.TrimSpace(row), want},
		{"notes", strings.TrimSpace(row) + ",lost\n", with(func(c *Counters) { c.Notes = "lost" })},
		{"notes with commas and quotes", strings.TrimSpace(row) + `,lost, says "he", twice` + "\n", with(func(c *Counters) { c.Notes = `lost, says "he", twice` })},
		{"notes in quotes", strings.TrimSpace(row) + `,"lost, twice"` + "\n", with(func(c *Counters) { c.Notes = "lost, twice" })},
		{"inactive", "0" + row[1:], with(func(c *Counters) { c.Active = false })},
		{"never used", "1,1359470658,-1,cccccccccccb,-1,-1,-1,-1,0000000000000000,\n",
			with(func(c *Counters) {
				c.Modified, c.Use, c.Session, c.Timestamp, c.Nonce = time.Time{}, -1, -1, 0, "0000000000000000"
			})},
		{"bit 15", strings.Replace(row, ",2,1,", ",32770,1,", 1), with(func(c *Counters) { c.CapsFlag = true })},
		{"no public ID", strings.Replace(row, "cccccccccccb", "", 1), with(func(c *Counters) { c.PublicID = publicID(t, "") })},
	} {
		if got, errs := decodeCounters(tc.text); len(errs) > 0 || len(got) != 1 || got[0] != tc.want {
			t.Errorf("%s: %+v, %v", tc.name, got, errs)
		}
	}
}

func TestBadCounters(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, old, new, field string
		column                int
	}{
		{"active", "1,1359470658", "t,1359470658", "active", 1},
		{"created", "1359470658", "yesterday", "created", 2},
		{"modified", "1359470659", "-2", "modified", 3},
		{"public ID", "cccccccccccb", "aaaaaaaaaaaa", "public-id", 4},
		{"public ID odd", "cccccccccccb", "ccccccccccc", "public-id", 4},
		{"counter", ",2,1,", ",65536,1,", "counter", 5},
		{"counter below -1", ",2,1,", ",-2,1,", "counter", 5},
		{"use", ",2,1,", ",2,256,", "use", 6},
		{"half", ",2,1,", ",2,-1,", "use", 6},
		{"low", "32729", "65536", "low", 7},
		{"high", ",4,", ",256,", "high", 8},
		{"nonce", "aoincuhfuahs", "a-b", "nonce", 9},
		{"nonce of 41", "aoincuhfuahs", strings.Repeat("a", 41), "nonce", 9},
		{"eight fields", ",aoincuhfuahs", "", "row", 8},
	} {
		text := strings.Replace(row, tc.old, tc.new, 1) + row
		got, errs := decodeCounters(text)
		var bad *keyfile.RowError
		if len(got) != 1 || len(errs) != 1 || !errors.As(errs[0], &bad) || bad.Line != 1 || bad.Field != tc.field || bad.Column != tc.column {
			t.Errorf("%s: %+v, %v", tc.name, got, errs)
			continue
		}
		if echo := sample.Echo(bad, text); echo != "" {
			t.Errorf("%s: %q repeats %q", tc.name, bad, echo)
		}
	}
}

// TestChecksums: in the order of the servers' tables, whatever the order of the file.
func TestChecksums(t *testing.T) {
	t.Parallel()
	sum := func(text string) string { s := sha1.Sum([]byte(text)); return hex.EncodeToString(s[:])[:10] }
	var s Checksums
	clients, errs := decode(strings.Replace(reference, "1,1,", "10,0,", 1) + strings.Replace(reference, "1,1,", "2,1,", 1))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, c := range clients {
		s.Client(c)
	}
	if got, want := s.Clients(), sum("2\t1\tZm9vYmFyZm9vYmFyZm9vYmFyMTI=\n10\t0\tZm9vYmFyZm9vYmFyZm9vYmFyMTI=\n"); got != want {
		t.Errorf("clients %s, want %s", got, want)
	}
	keys, errs := decodeCounters(row + "0,1,1,ccccccccccce,32770,1,1,1,x\n0,1,1,cccccccccccd,-1,-1,-1,-1,x\n")
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, k := range keys {
		s.Key(k)
	}
	if got, want := s.Deactivated(), sum("cccccccccccd\t-1\t-1\nccccccccccce\t32770\t1\n"); got != want {
		t.Errorf("deactivated %s, want %s", got, want)
	}
	if got := new(Checksums).Clients(); got != "da39a3ee5e" { // of nothing
		t.Errorf("nothing: %s", got)
	}
}

// FuzzCounters: what was read is within bounds, and reads the same again when it is written as the exporter does.
func FuzzCounters(f *testing.F) {
	for _, text := range []string{row, strings.TrimSpace(row) + `,"a, ""b""",c`, "0,-1,-1,,-1,-1,-1,-1,\n", "# x\n\r\n\"", ",,,,,,,,,", "\xFF\xFE"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, _ := decodeCounters(text)
		for _, c := range list {
			if c.Use < -1 || c.Use > 0x7fff || c.Session < -1 || c.Session > 255 || c.Timestamp < 0 || c.Timestamp > 0xffffff || !isNonce(c.Nonce) {
				t.Errorf("%+v", c)
			}
			modified := int64(-1)
			if !c.Modified.IsZero() {
				modified = c.Modified.Unix()
			}
			use, active := c.Use, 0
			if c.CapsFlag {
				use |= capsBit
			}
			if c.Active {
				active = 1
			}
			again, errs := decodeCounters(fmt.Sprintf("%d,0,%d,%s,%d,%d,%d,%d,%s\n", active, modified, c.PublicID, use, c.Session, c.Timestamp&0xffff, c.Timestamp>>16, c.Nonce))
			c.Line, c.Notes = 1, ""
			if len(errs) > 0 || len(again) != 1 || again[0] != c {
				t.Errorf("%+v became %+v, %v", c, again, errs)
			}
		}
	})
}

func publicID(t testing.TB, text string) token.PublicID {
	t.Helper()
	id, err := token.ParsePublicID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
