package codecs

import (
	"io"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// million is the number of rows of a stream.
const million = 1_000_000

// repeated reads head, then text n times, without holding it.
func repeated(head, text string, n int) io.Reader { return &rows{head: head, text: text, left: n} }

type rows struct {
	head, text string
	left       int
}

// Read implements io.Reader.
func (r *rows) Read(p []byte) (int, error) {
	if r.head == "" {
		if r.left == 0 {
			return 0, io.EOF
		}
		r.head = r.text
		r.left--
	}
	n := copy(p, r.head)
	r.head = r.head[n:]
	return n, nil
}

// BenchmarkDecodeMillion reads a million rows; B/op over a million is what a row costs, and nothing of it stays.
func BenchmarkDecodeMillion(b *testing.B) {
	for _, c := range All() {
		b.Run(c.Name(), func(b *testing.B) {
			r := encodable(c)[0]
			one, err := sample.Encode(c, r)
			if err != nil {
				b.Fatal(err)
			}
			two, err := sample.Encode(c, r, r)
			if err != nil {
				b.Fatal(err)
			}
			head := headOf(one, two)
			row := two[len(head) : len(head)+len(two)-len(one)]
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				for rec, err := range c.Decode(repeated(head, row, million)) {
					if err != nil {
						b.Fatal(err)
					}
					rec.Destroy()
					n++
				}
				if n != million {
					b.Fatalf("%d records", n)
				}
			}
			b.ReportMetric(float64(million)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// headOf is what stands before the first row; one and two are files of one and two equal rows.
func headOf(one, two string) string {
	row := len(two) - len(one)
	for i := 0; i+row <= len(two); i++ {
		if strings.HasPrefix(two[i+row:], two[i:i+row]) {
			return two[:i]
		}
	}
	return ""
}

// BenchmarkEncode writes a row.
func BenchmarkEncode(b *testing.B) {
	for _, c := range All() {
		b.Run(c.Name(), func(b *testing.B) {
			e, rec := c.NewEncoder(io.Discard), encodable(c)[0]
			b.ReportAllocs()
			for b.Loop() {
				if err := e.Encode(rec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
