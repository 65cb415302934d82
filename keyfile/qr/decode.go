package qr

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"slices"

	"github.com/makiuchi-d/gozxing"
	multi "github.com/makiuchi-d/gozxing/multi/qrcode"
	single "github.com/makiuchi-d/gozxing/qrcode"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// The limits of a picture. The decoded one takes up to 8 bytes a pixel.
const (
	MaxFile   = 32 << 20 // bytes
	MaxPixels = 16 << 20 // a screen of 5120 × 2880 pixels has 14.7 million
)

// maxPatterns is how many things that look like a corner of a code are looked at. Looking costs their number to the third.
const maxPatterns = 256

// What Decode says of a picture.
var (
	ErrImage    = errors.New("not a PNG or JPEG picture")
	ErrTooLarge = errors.New("the picture is too large: 32 MiB and 16 million pixels at most; cut the codes out of it")
	ErrTooBusy  = errors.New("the picture has too much in it that looks like a QR code; cut the codes out of it")
	ErrNoCode   = errors.New("no QR code found in the picture")
)

// Decode reads all QR codes in a PNG or JPEG picture, from top to bottom, each text once. The size is checked before a pixel
// is decoded. The caller destroys the texts.
func Decode(r io.Reader) ([]secret.Bytes, error) {
	file, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	defer clear(file)
	if err != nil {
		return nil, fmt.Errorf("qr: read: %w", err)
	}
	if len(file) > MaxFile {
		return nil, fmt.Errorf("qr: %w", ErrTooLarge)
	}
	img, err := decodeImage(file)
	if err != nil {
		return nil, fmt.Errorf("qr: %w", err)
	}
	texts, err := find(gozxing.NewLuminanceSourceFromImage(img))
	if err != nil {
		return nil, fmt.Errorf("qr: %w", err)
	}
	return texts, nil
}

// formats are the pictures that are read, by the first bytes of their files.
var formats = []struct {
	magic  string
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}{
	{"\x89PNG\r\n\x1a\n", png.DecodeConfig, png.Decode},
	{"\xff\xd8\xff", jpeg.DecodeConfig, jpeg.Decode},
}

func decodeImage(file []byte) (image.Image, error) {
	for _, f := range formats {
		if !bytes.HasPrefix(file, []byte(f.magic)) {
			continue
		}
		c, err := f.config(bytes.NewReader(file))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrImage, err)
		}
		if c.Width <= 0 || c.Height <= 0 || c.Width > MaxPixels/c.Height {
			return nil, ErrTooLarge
		}
		img, err := f.decode(bytes.NewReader(file))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrImage, err)
		}
		return img, nil
	}
	return nil, ErrImage
}

// attempt is one way to look for codes.
type attempt func(gozxing.LuminanceSource) ([]*gozxing.Result, error)

// find looks in every way that finds several codes; only when there is none, in ways that find one.
func find(src gozxing.LuminanceSource) ([]secret.Bytes, error) {
	invert := func(a attempt) attempt {
		return func(s gozxing.LuminanceSource) ([]*gozxing.Result, error) { return a(s.Invert()) }
	}
	var found []*gozxing.Result
	var failed error
	for _, stage := range [][]attempt{
		{all(gozxing.NewHybridBinarizer), all(gozxing.NewGlobalHistgramBinarizer)},
		{one(gozxing.NewHybridBinarizer, gozxing.DecodeHintType_TRY_HARDER), one(gozxing.NewGlobalHistgramBinarizer, gozxing.DecodeHintType_TRY_HARDER)},
		{one(gozxing.NewGlobalHistgramBinarizer, gozxing.DecodeHintType_PURE_BARCODE)},
		{invert(all(gozxing.NewHybridBinarizer)), invert(all(gozxing.NewGlobalHistgramBinarizer))},
	} {
		for _, a := range stage {
			results, err := try(a, src)
			if err != nil {
				failed = err
			}
			found = append(found, results...)
		}
		if len(found) > 0 {
			return texts(found), nil
		}
	}
	if failed != nil {
		return nil, failed
	}
	return nil, ErrNoCode
}

type binarizer func(gozxing.LuminanceSource) gozxing.Binarizer

// hints count the patterns, so that a hostile picture does not take for ever; nothing but a panic gets out of there.
func hints(h gozxing.DecodeHintType) map[gozxing.DecodeHintType]any {
	n := 0
	return map[gozxing.DecodeHintType]any{h: true,
		gozxing.DecodeHintType_NEED_RESULT_POINT_CALLBACK: gozxing.ResultPointCallback(func(gozxing.ResultPoint) {
			if n++; n > maxPatterns {
				panic(ErrTooBusy)
			}
		})}
}

func all(b binarizer) attempt {
	return func(src gozxing.LuminanceSource) ([]*gozxing.Result, error) {
		m, err := gozxing.NewBinaryBitmap(b(src))
		if err != nil {
			return nil, err
		}
		return multi.NewQRCodeMultiReader().DecodeMultiple(m, hints(gozxing.DecodeHintType_TRY_HARDER))
	}
}

func one(b binarizer, h gozxing.DecodeHintType) attempt {
	return func(src gozxing.LuminanceSource) ([]*gozxing.Result, error) {
		m, err := gozxing.NewBinaryBitmap(b(src))
		if err != nil {
			return nil, err
		}
		r, err := single.NewQRCodeReader().Decode(m, hints(h))
		return []*gozxing.Result{r}, err
	}
}

// try makes one attempt. That nothing was found is no error; gozxing's panics on odd pictures are nothing found.
func try(a attempt, src gozxing.LuminanceSource) (results []*gozxing.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			results, err = nil, nil
			if p == ErrTooBusy {
				err = ErrTooBusy
			}
		}
	}()
	if results, err = a(src); err != nil {
		return nil, nil //nolint:nilerr // every one of gozxing's errors means that there is none
	}
	return results, nil
}

// texts are the results' texts, each once, by where they stand.
func texts(found []*gozxing.Result) (out []secret.Bytes) {
	place := func(r *gozxing.Result) (x, y float64) {
		if p := r.GetResultPoints(); len(p) > 1 { // bottom left, top left, top right
			return p[1].GetX(), p[1].GetY()
		}
		return 0, 0
	}
	slices.SortStableFunc(found, func(a, b *gozxing.Result) int {
		ax, ay := place(a)
		bx, by := place(b)
		return cmp.Or(cmp.Compare(ay, by), cmp.Compare(ax, bx))
	})
	seen := map[string]bool{}
	for _, r := range found {
		if t := r.GetText(); t != "" && !seen[t] {
			seen[t] = true
			out = append(out, secret.New([]byte(t)))
		}
	}
	return out
}
