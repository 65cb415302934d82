package main

import (
	"bytes"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/migration"
	"github.com/tokendesk/tokendesk/keyfile/qr"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// TestImportPictures: several codes in one picture, and an app's export that is spread over two pictures.
func TestImportPictures(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.must("init")
	var list []keyfile.Record
	for i := range 12 { // ten fit into a code
		list = append(list, keyfile.Record{Kind: token.HOTP, Label: string(rune('A' + i)), Key: secret.Copy(bytes.Repeat([]byte{byte(i + 1)}, 20)), Hash: "sha1", Digits: 6})
	}
	text, err := sample.Encode(migration.Codec{Batch: 7}, list...)
	if err != nil {
		t.Fatal(err)
	}
	export := strings.Fields(text)
	const one = "otpauth://totp/Example:ada?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example&algorithm=SHA1&digits=6&period=30"
	const two = "otpauth://hotp/Example:bob?secret=AEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example&algorithm=SHA1&digits=6&counter=5"
	if len(export) != 2 {
		t.Fatalf("%d codes", len(export))
	}
	first, second := picture(t, one, export[0], two), picture(t, export[1])
	r.must("keyfile", "import", "--qr", first, second)
	if !strings.Contains(r.err.String(), "14 new, 0 known already, 0 refused") {
		t.Error(r.err.String())
	}
	if code := r.run("keyfile", "import", "--qr", second); code != exitPartly || !strings.Contains(r.err.String(), "0 new, 2 known already, 1 refused") {
		t.Errorf("half an export: exit code %d\n%s", code, r.err.String())
	}
	for _, s := range []string{"GEZDG", "AEZDG", "data="} {
		if strings.Contains(r.err.String()+r.out.String(), s) {
			t.Errorf("%s is shown", s)
		}
	}
}

// picture is a PNG file with a code for each text, side by side.
func picture(t *testing.T, texts ...string) string {
	t.Helper()
	var codes []image.Image
	width, height := 0, 0
	for _, text := range texts {
		code, err := qr.Encode(secret.Copy([]byte(text)))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := code.PNG(&b); err != nil {
			t.Fatal(err)
		}
		m, err := png.Decode(&b)
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, m)
		width, height = width+m.Bounds().Dx()+40, max(height, m.Bounds().Dy())
	}
	whole := image.NewGray(image.Rect(0, 0, width, height))
	draw.Draw(whole, whole.Bounds(), image.White, image.Point{}, draw.Src)
	x := 0
	for _, m := range codes {
		draw.Draw(whole, m.Bounds().Add(image.Pt(x, 0)), m, image.Point{}, draw.Src)
		x += m.Bounds().Dx() + 40
	}
	name := filepath.Join(t.TempDir(), "codes.png")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, whole); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}
