package ykval

import (
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// reference is the row of reference validation-protocol.md §13, byte for byte.
const reference = "1,1,1359550387,Zm9vYmFyZm9vYmFyZm9vYmFyMTI=,user@example.com,,cccccccccccbubfncnklbknnkrfvfkbubftlfliikdrt\n"

func first() Client {
	return Client{ID: 1, Active: true, Created: time.Unix(1359550387, 0).UTC(), Key: secret.Copy([]byte("foobarfoobarfoobar12")),
		Email: "user@example.com", OTP: "cccccccccccbubfncnklbknnkrfvfkbubftlfliikdrt"}
}

func with(change func(*Client)) Client {
	c := first()
	change(&c)
	return c
}

func same(a, b Client) bool {
	return a.ID == b.ID && a.Active == b.Active && a.Created.Equal(b.Created) && a.Key.Equal(b.Key) && a.Email == b.Email && a.Notes == b.Notes && a.OTP == b.OTP
}

func decode(text string) (out []Client, errs []error) {
	for c, err := range Decode(strings.NewReader(text)) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, c)
	}
	return out, errs
}

func TestEncodeReference(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	off := with(func(c *Client) { c.ID, c.Active, c.Created, c.Notes = 4711, false, time.Unix(0, 0), "shut down" })
	if err := errors.Join(Encode(&b, first()), Encode(&b, off)); err != nil {
		t.Fatal(err)
	}
	want := reference + "4711,0,0,Zm9vYmFyZm9vYmFyZm9vYmFyMTI=,user@example.com,shut down,cccccccccccbubfncnklbknnkrfvfkbubftlfliikdrt\n"
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
	if got, errs := decode(want); len(errs) > 0 || len(got) != 2 || !same(got[0], first()) || !same(got[1], off) {
		t.Errorf("%v, %+v", errs, got)
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Client{
		"id":        with(func(c *Client) { c.ID = 0 }),
		"no key":    with(func(c *Client) { c.Key = secret.Bytes{} }),
		"46 bytes":  with(func(c *Client) { c.Key = secret.New(make([]byte, 46)) }),
		"no time":   with(func(c *Client) { c.Created = time.Time{} }),
		"comma":     with(func(c *Client) { c.Notes = "a,b" }),
		"SQL":       with(func(c *Client) { c.Email = "o'brien@example.com" }),
		"backslash": with(func(c *Client) { c.Notes = `a\b` }),
		"new line":  with(func(c *Client) { c.Notes = "a\nb" }),
		"quote":     with(func(c *Client) { c.OTP = `"` }),
	} {
		var b strings.Builder
		if err := Encode(&b, c); err == nil || b.Len() > 0 || strings.Contains(err.Error(), "foobar") {
			t.Errorf("%s: %v, wrote %q", name, err, b.String())
		}
	}
	r, w := io.Pipe()
	_ = r.Close()
	if err := Encode(w, first()); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a closed pipe: %v", err)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	note := with(func(c *Client) { c.Notes = `a, "b"` })
	for _, tc := range []struct {
		name, text string
		want       Client
	}{
		{"comments and blank lines", "# clients\n\n" + reference, first()}, {"CRLF", strings.ReplaceAll(reference, "\n", "\r\n"), first()},
		{"BOM", "\xEF\xBB\xBF" + reference, first()}, {"quotes", strings.Replace(reference, ",,", `,"a, ""b""",`, 1), note},
		{"commas and quotes in notes, as exported", strings.Replace(reference, ",,", `,a, "b",`, 1), with(func(c *Client) { c.Notes = `a, "b"` })},
		{"blanks", strings.Replace(reference, "user@example.com,,", " user@example.com , ,", 1), first()},
		{"all quoted", `"` + strings.ReplaceAll(strings.TrimSpace(reference), ",", `","`) + `"`, first()},
	} {
		if got, errs := decode(tc.text); len(errs) > 0 || len(got) != 1 || !same(got[0], tc.want) {
			t.Errorf("%s: %v, %+v", tc.name, errs, got)
		}
	}
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	key46 := base64.StdEncoding.EncodeToString(make([]byte, 46))
	for _, tc := range []struct {
		name, old, new, field string
		column                int
	}{
		{"id", "1,1,", "x,1,", "id", 1}, {"id 0", "1,1,", "0,1,", "id", 1}, {"active", "1,1,", "1,2,", "active", 2},
		{"created", "1359550387", "2013-01-30", "created", 3}, {"late", "1359550387", "253402300800", "created", 3},
		{"key", "Zm9v", "Zm9$", "key", 4}, {"no key", "Zm9vYmFyZm9vYmFyZm9vYmFyMTI=", "", "key", 4}, {"46 bytes", "Zm9vYmFyZm9vYmFyZm9vYmFyMTI=", key46, "key", 4},
		{"six fields", ",,", ",", "row", 6}, {"generator's", ",1,1359550387,", ",", "row", 5},
		{"open quote", ",,", ",\"a,", "row", 6}, {"long", "user@", strings.Repeat("u", 256) + "@", "email", 5}, {"control", "user@", "us\x07er@", "line", 0},
	} {
		text := "# clients\n" + strings.Replace(reference, tc.old, tc.new, 1) + reference
		got, errs := decode(text)
		var bad *keyfile.RowError
		if len(got) != 1 || len(errs) != 1 || !errors.As(errs[0], &bad) || bad.Line != 2 || bad.Field != tc.field || bad.Column != tc.column {
			t.Errorf("%s: %d clients, %v", tc.name, len(got), errs)
			continue
		}
		if echo := sample.Echo(bad, text); echo != "" {
			t.Errorf("%s: %q repeats %q", tc.name, bad, echo)
		}
	}
	if _, errs := decode("\xFF\xFE1\x00"); len(errs) != 1 || !errors.Is(errs[0], keyfile.ErrUTF16) {
		t.Errorf("UTF-16: %v", errs)
	}
	for range Decode(strings.NewReader(reference + reference)) {
		break
	}
}

func FuzzDecode(f *testing.F) {
	for _, text := range []string{reference, strings.Replace(reference, ",,", `,"a, ""b""",`, 1), "1,0,0,AA==,,,", "# x\n\r\n\"", "\xEF\xBB\xBF,,,,,,", "\xFF\xFE"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		clients, _ := decode(text)
		for _, c := range clients {
			var b strings.Builder
			if Encode(&b, c) != nil {
				continue
			}
			if again, errs := decode(b.String()); len(errs) > 0 || len(again) != 1 || !same(again[0], c) {
				t.Errorf("%v, %+v became %+v", errs, c, again)
			}
		}
	})
}
