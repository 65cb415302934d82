package batch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tokendesk/tokendesk/provision/token"
)

// chaCha gives reproducible bytes.
func chaCha(n byte) io.Reader { return rand.NewChaCha8([32]byte{n}) }

// TestDrawSample: so many different positions, in order, each as likely as the others.
func TestDrawSample(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ n, wanted, want int }{{13, 200, 13}, {1, 1, 1}, {5, 3, 3}, {0, 4, 0}} {
		got, err := DrawSample(chaCha(1), tc.n, tc.wanted)
		if err != nil || len(got) != tc.want || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != tc.want ||
			tc.want > 0 && (got[0] < 1 || got[tc.want-1] > tc.wanted) {
			t.Errorf("%+v: %v, %v", tc, got, err)
		}
	}
	const draws, wanted = 6000, 6
	seen := make([]int, wanted+1)
	pairs := map[string]int{}
	r := chaCha(2)
	for range draws {
		got, err := DrawSample(r, 2, wanted)
		if err != nil {
			t.Fatal(err)
		}
		pairs[fmt.Sprint(got)]++
		for _, p := range got {
			seen[p]++
		}
	}
	for p, n := range seen[1:] {
		if n < 1800 || n > 2200 { // 2000 expected, standard deviation 37
			t.Errorf("position %d was drawn %d times", p+1, n)
		}
	}
	for pair, n := range pairs {
		if n < 300 || n > 500 { // 400 expected, standard deviation 19
			t.Errorf("%s was drawn %d times", pair, n)
		}
	}
	if len(pairs) != 15 {
		t.Errorf("%d pairs", len(pairs))
	}
	if _, err := DrawSample(iotest.ErrReader(io.ErrUnexpectedEOF), 1, 3); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("no randomness: %v", err)
	}
}

// TestBelow: the rest that would make some numbers likelier is drawn again.
func TestBelow(t *testing.T) {
	t.Parallel()
	r := bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff, 5, 0, 0, 0}) // 2^32 - 1 is the rest of a division by 3
	if v, err := below(r, 3); err != nil || v != 2 {
		t.Errorf("%d, %v", v, err)
	}
	if v, err := below(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff}), 4); err != nil || v != 3 {
		t.Errorf("%d, %v", v, err)
	}
}

func TestReadNote(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in, want string
		line     int
	}{
		"with a head": {"Model;Serial Number;Box\nYK5;20411733;1\nYK5;20411734;1\n", "[20411733 20411734]", 0},
		"alone":       {"12\n\n 11\n12\n", "[11 12]", 0},
		"bom, tabs":   {"\uFEFFS/N\tName\r\n7\tx\r\n", "[7]", 0},
		"quoted":      {"Seriennummer,x\n\"1 234\",y\n,\n", "[1234]", 0},
		"no column":   {"a,b\n1,2\n", "", 1},
		"no number":   {"serial\n12\nabc\n", "", 3},
		"too large":   {"4294967296\n", "", 1},
		"missing":     {"x,serial\na,1\nb\n", "", 3},
		"bad quote":   {"serial\n\"1\n", "", 2},
		"empty":       {"", "[]", 0},
	} {
		got, err := ReadNote(strings.NewReader(tc.in))
		var bad *NoteError
		if tc.line > 0 {
			if !errors.As(err, &bad) || bad.Line != tc.line || got != nil || strings.Contains(bad.Error(), "abc") {
				t.Errorf("%s: %v, %v", name, got, err)
			}
			continue
		}
		if err != nil || fmt.Sprint(got) != tc.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// FuzzReadNote: serials are in order, each once and none 0; an error comes alone.
func FuzzReadNote(f *testing.F) {
	for _, seed := range []string{"serial\n1\n", "a;serial\n1;2\n", "7\n7\n", "\uFEFFS/N\t\n1\t\n", "\"", "serial,serial\n1\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ReadNote(strings.NewReader(text))
		if err != nil && got != nil || !slices.IsSorted(got) || slices.Contains(got, 0) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Fatalf("%v, %v", got, err)
		}
	})
}

func TestCompare(t *testing.T) {
	t.Parallel()
	d := Compare([]token.Serial{1, 2, 3, 4}, []token.BatchItem{{Serial: 2}, {Serial: 9}, {Serial: 1}}, []token.PutAside{{Serial: 3}, {Serial: 8}, {Port: "1-1#4"}})
	if got := fmt.Sprintf("%+v", d); got != "{Missing:[4] Surplus:[8 9] Aside:[3 8] Unnamed:1}" {
		t.Error(got)
	}
}
