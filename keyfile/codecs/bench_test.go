package codecs

import (
	"fmt"
	"io"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

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

// sizes are the numbers of rows: what is in memory must not grow with them, and the time as they do.
func sizes() []int { return []int{1_000, 100_000, 1_000_000} }

// long are the formats whose files may have a thousand rows, each beside the other.
func long() []keyfile.Codec {
	return slices.DeleteFunc(everyCodec()[1:], func(c keyfile.Codec) bool {
		return c.Name() == "google-authenticator" || c.Name() == "otpauth-migration" || len(encodable(c)) == 0
	})
}

// BenchmarkDecode reads files of equal rows.
func BenchmarkDecode(b *testing.B) {
	for _, c := range long() {
		head, row, foot := pieces(b, c)
		for _, n := range sizes() {
			b.Run(fmt.Sprintf("%s/%d", c.Name(), n), func(b *testing.B) {
				measure(b, n, func(count func()) error {
					read := 0
					for rec, err := range c.Decode(&rows{head: head, text: row, foot: foot, left: n - 1}) {
						if err != nil {
							return err
						}
						rec.Destroy()
						read++
						count()
					}
					if read != n {
						return fmt.Errorf("%d records", read)
					}
					return nil
				})
			})
		}
	}
}

// BenchmarkEncode writes files.
func BenchmarkEncode(b *testing.B) {
	for _, c := range long() {
		like := encodable(c)[0]
		for _, n := range sizes() {
			b.Run(fmt.Sprintf("%s/%d", c.Name(), n), func(b *testing.B) {
				measure(b, n, func(count func()) error {
					e := c.NewEncoder(io.Discard)
					for i := range n {
						rec := like
						if rec.Owner != "" { // some servers keep one row a person
							rec.Owner = "p" + strconv.Itoa(i)
						}
						if err := e.Encode(rec); err != nil {
							return err
						}
						count()
					}
					return e.Close()
				})
			})
		}
	}
}

// measure runs one file of n rows at a time and reports rows/s and the most that the heap's objects took, garbage among them. A
// document that cannot be that long is skipped.
func measure(b *testing.B, n int, file func(count func()) error) {
	const often = 500 // rows
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	runtime.GC()
	var peak uint64
	done := 0
	b.ReportAllocs()
	for b.Loop() {
		err := file(func() {
			if done++; done%often == 0 {
				metrics.Read(heap)
				peak = max(peak, heap[0].Value.Uint64())
			}
		})
		if err != nil && n > 1000 && !keyfile.IsRow(err) {
			b.Skip(err)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(done)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(peak)/(1<<20), "MiB-heap")
}

// pieces cut a file of c so that head, row n-1 times, and foot are a file of n equal rows.
func pieces(b *testing.B, c keyfile.Codec) (head, row, foot string) {
	b.Helper()
	r := encodable(c)[0]
	one, err := sample.Encode(c, r)
	if err != nil {
		b.Fatal(err)
	}
	other := r
	if r.Owner != "" { // some servers keep one row a person
		other.Owner = strings.Repeat("x", len(r.Owner))
	}
	two, err := sample.Encode(c, r, other)
	if err != nil {
		b.Fatal(err)
	}
	if r.Owner != "" {
		two = strings.ReplaceAll(two, other.Owner, r.Owner)
	}
	size := len(two) - len(one)
	for i := range len(one) + 1 {
		if one[:i] == two[:i] && one[i:] == two[i+size:] {
			return one[:i], two[i : i+size], one[i:]
		}
	}
	b.Fatalf("%s: a file of two rows is no longer one of one", c.Name())
	return "", "", ""
}
