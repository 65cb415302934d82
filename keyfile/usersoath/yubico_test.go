package usersoath_test

import (
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/keyfile/yubimap"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/memory"
	"github.com/tokendesk/tokendesk/validate/wsapi"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// validation is a validation server with the keys of recs; it returns what pam_yubico must be told of it.
func validation(t *testing.T, recs ...keyfile.Record) []string {
	t.Helper()
	store := new(memory.Store)
	for _, r := range recs {
		if _, err := store.Add(r.PublicID, r.Key, r.PrivateID, token.Active); err != nil {
			t.Fatal(err)
		}
	}
	key := secret.New([]byte("0123456789abcdefghij"))
	id := store.AddClient(validate.Client{Name: "pam", Keys: []secret.Bytes{key}, Active: true, MustSig: true})
	server := httptest.NewServer(&wsapi.Handler{Verifier: validate.New(store, time.Now), Clients: store, Now: time.Now})
	t.Cleanup(server.Close)
	return []string{"mode=client", fmt.Sprintf("id=%d", id), "key=" + base64.StdEncoding.EncodeToString(key.Reveal()),
		"urllist=" + server.URL + "/wsapi/2.0/verify"}
}

// press is what the key of rec types.
func press(t *testing.T, rec keyfile.Record, use uint16) string {
	t.Helper()
	cipher, err := yubiotp.NewCipher(rec.Key, rec.PrivateID)
	if err != nil {
		t.Fatal(err)
	}
	defer cipher.Destroy()
	return yubiotp.Join(rec.PublicID.Bytes(), cipher.Seal(yubiotp.Token{UseCounter: use, Timestamp: 1000}))
}

func TestPamYubico(t *testing.T) {
	t.Parallel()
	owned := func(rec keyfile.Record, owner string) keyfile.Record {
		return sample.With(rec, func(r *keyfile.Record) { r.Owner = owner })
	}
	first, second := sample.First(), sample.Second()
	recs := []keyfile.Record{owned(first, "ada"), owned(second, "ada"), owned(second, "bob")}
	file := filepath.Join(t.TempDir(), "mapping")
	s := newService(t, "pam_yubico.so", append(validation(t, first, second), "authfile="+file)...)
	export(t, yubimap.Codec{}, file, recs...)
	s.expect(t, "first key", "ada", press(t, first, 1), true)
	s.expect(t, "replay", "ada", press(t, first, 1), false)
	s.expect(t, "second key on the line", "ada", press(t, second, 1), true)
	s.expect(t, "shared key", "bob", press(t, second, 2), true)
	s.expect(t, "not mapped", "bob", press(t, first, 2), false)
	s.expect(t, "no account", "eve", press(t, first, 3), false)
	s.expect(t, "after all that", "ada", press(t, first, 4), true)
}

// The longest line that is written is read to its end; a longer one would lose its last public ID, and CRLF does.
func TestPamYubicosLines(t *testing.T) {
	t.Parallel()
	first := sample.With(sample.First(), func(r *keyfile.Record) { r.Owner = strings.Repeat("a", 255) })
	var recs []keyfile.Record
	for i := range 58 { // 255 and 59 times 13 bytes are 1022
		rec := first
		rec.PublicID, _ = token.NewPublicID([]byte{1, 2, 3, 4, 5, byte(i)})
		recs = append(recs, rec)
	}
	file := filepath.Join(t.TempDir(), "mapping")
	s := newService(t, "pam_yubico.so", append(validation(t, first), "authfile="+file)...)
	text, err := sample.Encode(yubimap.Codec{}, append(recs, first)...)
	if err != nil || len(text) != 1023 || strings.Count(text, "\n") != 1 {
		t.Fatalf("%v, %d bytes", err, len(text))
	}
	write(t, file, text)
	s.expect(t, "1022 bytes", first.Owner, press(t, first, 1), true)
	write(t, file, first.Owner+"ab"+text[255:])
	s.expect(t, "1024 bytes", first.Owner+"ab", press(t, first, 2), false)
	write(t, file, strings.ReplaceAll(text, "\n", "\r\n"))
	s.expect(t, "CRLF", first.Owner, press(t, first, 3), false)
	export(t, yubimap.Codec{}, file, append([]keyfile.Record{sample.With(recs[0], func(r *keyfile.Record) {
		r.PublicID, _ = token.NewPublicID([]byte{1, 1, 1, 1, 1, 1})
	})}, append(recs, first)...)...)
	s.expect(t, "second line of the account", first.Owner, press(t, first, 4), true)
}
