package codecs

import (
	"io"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// million is the number of rows of a stream.
const million = 1_000_000

// rows reads head, then text left times, then foot, without holding it.
type rows struct {
	head, text, foot string
	left             int
}

// Read implements io.Reader.
func (r *rows) Read(p []byte) (int, error) {
	if r.head == "" {
		switch {
		case r.left > 0:
			r.head = r.text
			r.left--
		case r.foot == "":
			return 0, io.EOF
		default:
			r.head, r.foot = r.foot, ""
		}
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
			size := len(two) - len(one)
			head := headOf(one, two)
			row, foot := two[len(head):len(head)+size], two[len(head)+2*size:]
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				for rec, err := range c.Decode(&rows{head: head, text: row, foot: foot, left: million}) {
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

// headOf is what stands before the part that two, a file of two equal rows, has twice and one has once.
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
