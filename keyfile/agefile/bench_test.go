package agefile

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

// Both passes of opening, by rows of a key file.
func BenchmarkOpen(b *testing.B) {
	id := newIdentity(b)
	const row = "10200301,vvccccknlfut,5c45bd4baca5,688a3c8423bd5e0811602fe6977ff4f2,,2026-03-01T10:00:01,\n"
	for _, rows := range []int{1000, 100000} {
		m := sealed(b, strings.Repeat(row, rows), id.Recipient().String())
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			b.SetBytes(int64(rows * len(row)))
			b.ReportAllocs()
			for b.Loop() {
				r, _, err := withKey(id)(bytes.NewReader(m))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
