package batch

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// DrawSample picks n of the positions 1 to wanted, each set of them as likely as any other, in order. It is drawn once, when the
// batch begins, and not told: nobody knows before a key has its position whether it will be tested. More than all is all.
func DrawSample(r io.Reader, n, wanted int) ([]int, error) {
	n = min(n, wanted)
	all := make([]int, wanted)
	for i := range all {
		all[i] = i + 1
	}
	for i := range n { // the first n of a shuffle
		j, err := below(r, uint32(wanted-i))
		if err != nil {
			return nil, fmt.Errorf("draw the sample: %w", err)
		}
		all[i], all[i+int(j)] = all[i+int(j)], all[i]
	}
	slices.Sort(all[:n])
	return all[:n:n], nil
}

// below draws a number below n. What is left of 32 bits when they are divided by n would make some likelier, and is drawn again.
func below(r io.Reader, n uint32) (uint32, error) {
	var b [4]byte
	rest := -n % n
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return 0, err
		}
		if v := binary.LittleEndian.Uint32(b[:]); rest == 0 || v < -rest {
			return v % n, nil
		}
	}
}
