package paper_test

import (
	"io"
	"testing"
	"testing/fstest"

	"github.com/tokendesk/tokendesk/provision/paper"
)

// BenchmarkPDF is the receipt of one person (H-7).
func BenchmarkPDF(b *testing.B) {
	p := open(b, nil)
	for b.Loop() {
		if err := p.PDF(io.Discard, sample(), paper.A4); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen reads and tries all templates.
func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		if _, err := paper.Open(fstest.MapFS{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLabels is the labels of a box of 200 keys.
func BenchmarkLabels(b *testing.B) {
	p := open(b, nil)
	list := make([]paper.Label, 200)
	for i := range list {
		list[i].Subject = sample().Token
	}
	for b.Loop() {
		if err := p.LabelPDF(io.Discard, paper.Stickers{Layout: "avery-l4731"}, list); err != nil {
			b.Fatal(err)
		}
	}
}
