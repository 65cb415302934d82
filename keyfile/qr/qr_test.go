package qr

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

const uri = "otpauth://totp/Campus%20Login:dave%40example.org?secret=T6EBGKM2L56HAHNHEGJKLOTB4R3ZWKIV3QLQRSGZ3VAN6U7HST4Q" +
	"&issuer=Campus%20Login&algorithm=SHA256&digits=6&period=30"

func mustEncode(t testing.TB, text string) Code {
	t.Helper()
	c, err := Encode(secret.New([]byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// assertReads wants the texts, in any order of equal height, out of a picture.
func assertReads(t *testing.T, name string, file []byte, want ...string) {
	t.Helper()
	texts, err := Decode(bytes.NewReader(file))
	var got []string
	for _, s := range texts {
		got = append(got, string(s.Reveal()))
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s: %v, got %q, want %q", name, err, got, want)
	}
}

func pngOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegOf(t testing.TB, img image.Image, quality int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// drawCode paints c with its border at p, each module scale pixels wide.
func drawCode(dst draw.Image, c Code, p image.Point, scale int, white, black color.Color) {
	for y := range c.side() {
		for x := range c.side() {
			fill := white
			if c.black(x, y) {
				fill = black
			}
			r := image.Rect(x*scale, y*scale, (x+1)*scale, (y+1)*scale).Add(p)
			draw.Draw(dst, r, image.NewUniform(fill), image.Point{}, draw.Src)
		}
	}
}

func picture(c Code, scale int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, c.side()*scale, c.side()*scale))
	drawCode(img, c, image.Point{}, scale, color.White, color.Black)
	return img
}

func TestPNG(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"1", "HELLO", uri, "Jürgen ☺", strings.Repeat("otpauth ", 200), strings.Repeat("a", 2953)} {
		c := mustEncode(t, text)
		var b bytes.Buffer
		if err := c.PNG(&b); err != nil {
			t.Fatal(err)
		}
		assertReads(t, fmt.Sprintf("%.10s", text), b.Bytes(), text)
	}
	if _, err := Encode(secret.New(bytes.Repeat([]byte("a"), 2954))); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
}

// rasterize is what a camera sees of Terminal's lines: cells of 2 by 2 pixels a half, ink drawn on paper.
func rasterize(t *testing.T, text string, ink, paper color.Color) image.Image {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	columns, cell := len([]rune(lines[0])), 4
	img := image.NewRGBA(image.Rect(0, 0, (columns+10)*cell, (2*len(lines)+10)*cell)) // a terminal is larger than the code
	draw.Draw(img, img.Bounds(), image.NewUniform(paper), image.Point{}, draw.Src)
	for y, line := range lines {
		runes := []rune(line)
		if len(runes) != columns {
			t.Fatalf("line %d has %d characters, the first %d", y, len(runes), columns)
		}
		for x, r := range runes {
			for half, drawn := range [2]bool{r == '▀' || r == '█', r == '▄' || r == '█'} {
				if drawn {
					at := image.Pt((x+5)*cell, (2*y+half+5)*cell)
					draw.Draw(img, image.Rectangle{at, at.Add(image.Pt(cell, cell))}, image.NewUniform(ink), image.Point{}, draw.Src)
				}
			}
			if !strings.ContainsRune(" ▀▄█", r) {
				t.Fatalf("line %d has %q", y, r)
			}
		}
	}
	return img
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	c := mustEncode(t, uri)
	for _, tc := range []struct {
		name       string
		background Background
		ink, paper color.Color
	}{{"dark", Dark, color.White, color.Black}, {"light", Light, color.Black, color.White}} {
		var b strings.Builder
		if err := c.Terminal(&b, tc.background); err != nil {
			t.Fatal(err)
		}
		assertReads(t, tc.name, pngOf(t, rasterize(t, b.String(), tc.ink, tc.paper)), uri)
		lines := strings.Split(b.String(), "\n")
		edge := map[Background]string{Dark: "█", Light: " "}[tc.background]
		if lines[0] != strings.Repeat(edge, c.Columns()) || lines[1] != lines[0] || !strings.HasPrefix(lines[5], strings.Repeat(edge, quiet)) {
			t.Errorf("%s: no quiet zone of 4 modules:\n%s", tc.name, b.String())
		}
	}
}

func TestTerminalGolden(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := mustEncode(t, "A").Terminal(&b, Dark); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != golden {
		t.Errorf("got\n%s", got)
	}
}

// shapes reads back the bars of SVG's path.
func shapes(t *testing.T, text string) image.Image {
	t.Helper()
	var n int
	if _, err := fmt.Sscanf(text, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d`, &n); err != nil {
		t.Fatal(err)
	}
	const scale = 4
	img := image.NewGray(image.Rect(0, 0, n*scale, n*scale))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	_, path, _ := strings.Cut(text, ` d="M`)
	path, _, _ = strings.Cut(path, `"`)
	for bar := range strings.SplitSeq(path, "M") {
		var x, y, run, back int
		if _, err := fmt.Sscanf(bar, "%d %dh%dv1h-%dz", &x, &y, &run, &back); err != nil || run != back {
			t.Fatalf("%q: %v", bar, err)
		}
		draw.Draw(img, image.Rect(x*scale, y*scale, (x+run)*scale, (y+1)*scale), image.Black, image.Point{}, draw.Src)
	}
	return img
}

func TestSVG(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := mustEncode(t, uri).SVG(&b); err != nil {
		t.Fatal(err)
	}
	assertReads(t, "SVG", pngOf(t, shapes(t, b.String())), uri)
	if err := xml.Unmarshal([]byte(b.String()), new(struct{ XMLName xml.Name })); err != nil {
		t.Error(err)
	}
}

// screenshot is a page with lines of grey text and codes of different sizes on it.
func screenshot(t *testing.T, background color.Color, at map[image.Point]string, scales []int) *image.RGBA {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 1600, 1200))
	draw.Draw(img, img.Bounds(), image.NewUniform(background), image.Point{}, draw.Src)
	r := rand.New(rand.NewPCG(5, 6))
	for range 4000 {
		x, y := r.IntN(1600), r.IntN(60)*20
		draw.Draw(img, image.Rect(x, y, x+1+r.IntN(9), y+1+r.IntN(11)), image.NewUniform(color.Gray{uint8(r.IntN(256))}), image.Point{}, draw.Src)
	}
	i := 0
	for p, text := range at {
		drawCode(img, mustEncode(t, text), p, scales[i%len(scales)], color.White, color.Black)
		i++
	}
	return img
}

func TestSeveralInOnePicture(t *testing.T) {
	t.Parallel()
	at := map[image.Point]string{}
	var want []string
	for i := range 6 {
		text := fmt.Sprintf("%s&n=%d", uri, i)
		at[image.Pt(40+500*(i%3), 20+400*(i/3)+8*(i%3))] = text
		want = append(want, text)
	}
	for name, background := range map[string]color.Color{"light page": color.White, "dark page": color.Gray{30}} {
		img := screenshot(t, background, at, []int{5})
		assertReads(t, name, pngOf(t, img), want...)
		assertReads(t, name+", JPEG", jpegOf(t, img, 70), want...)
	}
	mixed := screenshot(t, color.White, map[image.Point]string{{30, 30}: "small", {600, 60}: "otpauth-migration://offline?data=" + strings.Repeat("Qk0", 300), {40, 700}: uri}, []int{4})
	assertReads(t, "several sizes", pngOf(t, mixed), "small", "otpauth-migration://offline?data="+strings.Repeat("Qk0", 300), uri)
}

func TestOddPictures(t *testing.T) {
	t.Parallel()
	c := mustEncode(t, uri)
	inverted := image.NewRGBA(image.Rect(0, 0, 600, 600))
	drawCode(inverted, c, image.Pt(20, 20), 6, color.Black, color.White)
	faint := image.NewGray(image.Rect(0, 0, 700, 700))
	draw.Draw(faint, faint.Bounds(), image.NewUniform(color.Gray{200}), image.Point{}, draw.Src)
	drawCode(faint, c, image.Pt(50, 50), 6, color.Gray{190}, color.Gray{120})
	small := picture(c, 1)
	turned := image.NewRGBA(image.Rect(0, 0, c.side()*6, c.side()*6))
	for y := range turned.Rect.Dy() {
		for x := range turned.Rect.Dx() {
			turned.Set(turned.Rect.Dy()-1-y, x, small.At(x/6, y/6))
		}
	}
	transparent := image.NewNRGBA(image.Rect(0, 0, 600, 600))
	drawCode(transparent, c, image.Pt(20, 20), 6, color.Transparent, color.Black)
	for name, img := range map[string]image.Image{"one pixel a module": picture(c, 1), "two": picture(c, 2), "three": picture(c, 3), "twenty": picture(c, 20),
		"inverted": inverted, "faint": faint, "turned": turned, "transparent": transparent} {
		assertReads(t, name, pngOf(t, img), uri)
	}
	twice := image.NewRGBA(image.Rect(0, 0, 1100, 600))
	draw.Draw(twice, twice.Bounds(), image.White, image.Point{}, draw.Src)
	drawCode(twice, c, image.Pt(10, 10), 6, color.White, color.Black)
	drawCode(twice, c, image.Pt(560, 10), 6, color.White, color.Black)
	assertReads(t, "the same twice", pngOf(t, twice), uri)
}

// bomb is a PNG whose header promises a picture of w by h.
func bomb(t *testing.T, w, h uint32) []byte {
	t.Helper()
	file := pngOf(t, image.NewGray(image.Rect(0, 0, 1, 1)))
	binary.BigEndian.PutUint32(file[16:], w)
	binary.BigEndian.PutUint32(file[20:], h)
	binary.BigEndian.PutUint32(file[29:], crc32.ChecksumIEEE(file[12:29]))
	return file
}

func TestHostile(t *testing.T) {
	t.Parallel()
	good := pngOf(t, picture(mustEncode(t, uri), 4))
	finders := image.NewGray(image.Rect(0, 0, 1600, 1600))
	draw.Draw(finders, finders.Bounds(), image.White, image.Point{}, draw.Src)
	for i := range 40 * 40 {
		at := image.Pt(40*(i%40), 40*(i/40))
		for n, fill := range []image.Image{image.Black, image.White, image.Black} {
			draw.Draw(finders, image.Rect(4*n, 4*n, 28-4*n, 28-4*n).Add(at), fill, image.Point{}, draw.Src)
		}
	}
	for _, tc := range []struct {
		name string
		file []byte
		want error
	}{
		{"empty", nil, ErrImage},
		{"text", []byte(uri), ErrImage},
		{"GIF", []byte("GIF89a\x01\x00\x01\x00"), ErrImage},
		{"header alone", good[:8], ErrImage},
		{"cut", good[:len(good)/2], ErrImage},
		{"cut JPEG", jpegOf(t, picture(mustEncode(t, uri), 4), 80)[:300], ErrImage},
		{"wide", bomb(t, 1<<20, 1<<20), ErrTooLarge},
		{"17 million pixels", bomb(t, 4097, 4096), ErrTooLarge},
		{"long file", append(slices.Clone(good), make([]byte, MaxFile)...), ErrTooLarge},
		{"nothing in it", pngOf(t, image.NewGray(image.Rect(0, 0, 500, 500))), ErrNoCode},
		{"one pixel", pngOf(t, image.NewGray(image.Rect(0, 0, 1, 1))), ErrNoCode},
		{"1600 corners", pngOf(t, finders), ErrTooBusy},
	} {
		texts, err := Decode(bytes.NewReader(tc.file))
		if !errors.Is(err, tc.want) || texts != nil {
			t.Errorf("%s: %v, %d texts", tc.name, err, len(texts))
		}
	}
}

// A code is its text, so it must not print either.
func TestDoesNotPrint(t *testing.T) {
	t.Parallel()
	c := mustEncode(t, "A")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		leak := strings.Trim(fmt.Sprintf(verb, c.modules.Reveal()[:20]), "[]{}\"") // of the bare bytes
		if s := fmt.Sprintf(verb, c); strings.Contains(s, leak) || strings.Contains(s, strings.TrimPrefix(leak, "[]byte{")) {
			t.Errorf("%s: %s", verb, s)
		}
	}
	c.Destroy()
	if c.modules.Len() > 0 {
		t.Error("not destroyed")
	}
	if err := c.PNG(new(bytes.Buffer)); err != nil {
		t.Error(err)
	}
}

// FuzzDecode holds that there is a text or an error, never both, and no panic.
func FuzzDecode(f *testing.F) {
	c := mustEncode(f, "HELLO")
	f.Add(pngOf(f, picture(c, 2)))
	f.Add(jpegOf(f, picture(c, 3), 60))
	f.Add([]byte("\x89PNG\r\n\x1a\n"))
	f.Add([]byte("\xff\xd8\xff"))
	f.Fuzz(func(t *testing.T, file []byte) {
		texts, err := Decode(bytes.NewReader(file))
		if (err == nil) != (len(texts) > 0) {
			t.Errorf("%d texts and %v", len(texts), err)
		}
	})
}

// FuzzModules draws what the bits say and looks for codes in it, past the picture's format.
func FuzzModules(f *testing.F) {
	c := mustEncode(f, "HELLO")
	f.Add(c.modules.Reveal(), byte(c.size))
	f.Add([]byte{1, 0, 1}, byte(2))
	f.Fuzz(func(t *testing.T, bits []byte, side byte) {
		if side == 0 || side > 60 {
			return
		}
		c := Code{secret.Copy(bits), int(side)}
		if len(bits) < c.size*c.size {
			return
		}
		texts, err := Decode(bytes.NewReader(pngOf(t, picture(c, 3))))
		if (err == nil) != (len(texts) > 0) {
			t.Errorf("%d texts and %v", len(texts), err)
		}
	})
}

// golden is the code of "A", version 1-M, on a dark terminal.
const golden = `█████████████████████████████
█████████████████████████████
████ ▄▄▄▄▄ █▀█▄▄▀█ ▄▄▄▄▄ ████
████ █   █ ███  ▀█ █   █ ████
████ █▄▄▄█ █▄█▀█ █ █▄▄▄█ ████
████▄▄▄▄▄▄▄█▄▀▄▀ █▄▄▄▄▄▄▄████
████▄█▄▀ ▀▄▀█▀▀▄██▀█▄█▀ █████
█████▀█▄▀▄▄▄█  █▄█▀█▄█▀▀▄████
████▄▄███▄▄▄ ▀█▀▄▀▄▀▄▀▄▄▄████
████ ▄▄▄▄▄ ██ ▄ ▀ ▄ ▀ ▄▀█████
████ █   █ █▄▄▀▄█▄ ▄█▄ ▀▄████
████ █▄▄▄█ █▄█ █▄█▀█▄█▀▀ ████
████▄▄▄▄▄▄▄█▄▄██▄█▄█▄█▄█▄████
█████████████████████████████
█████████████████████████████
`
