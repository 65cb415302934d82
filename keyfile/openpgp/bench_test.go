package openpgp

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

// Both passes of opening, by rows of a key file.
func BenchmarkOpen(b *testing.B) {
	server := newPair(b, "server", "", curve())
	for _, rows := range []int{1000, 100000} {
		m := sealed(b, Envelope{To: readKeys(b, server.public), Signer: readKeys(b, server.private)}, strings.Repeat(text, rows))
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			b.SetBytes(int64(rows * len(text)))
			b.ReportAllocs()
			for b.Loop() {
				r, _, err := with(server.private, "", server.public)(bytes.NewReader(m))
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
