package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressFrom is how large a file is, in bytes, that is worth a bar.
const progressFrom = 256 << 10

// progress shows on a terminal how much of a file was read. A nil one shows nothing.
type progress struct {
	bar *progressbar.ProgressBar
	k   *keySource
}

// progress begins to show how far k is read, where standard error is a terminal.
func (a *app) progress(k *keySource) *progress {
	if !a.stderrTTY || k.size >= 0 && k.size < progressFrom {
		return nil
	}
	total := k.size
	if total > 0 && k.wrapped != noWrapping {
		total *= 2 // envelope.Twice
	}
	return &progress{newBar(a.stderr, total), k}
}

// newBar is a bar of bytes; total -1 is not known.
func newBar(w io.Writer, total int64) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true),
		progressbar.OptionSetWidth(30), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetRenderBlankState(false))
}

func (p *progress) step() {
	if p != nil {
		_ = p.bar.Set64(p.k.count) // to a terminal
	}
}

// clear takes the bar away.
func (p *progress) clear() {
	if p != nil {
		_ = p.bar.Clear()
	}
}
