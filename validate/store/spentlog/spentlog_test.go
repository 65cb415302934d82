package spentlog

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
)

func header() Header {
	return Header{Store: "0011", Epoch: 2, Desk: audit.Mark{Seq: 7}, At: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)}
}

func open(t testing.TB, path string) *Writer {
	t.Helper()
	w, err := Open(path, header(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// entry is the n-th of a test.
func entry(n int) Entry {
	e := Entry{Kind: OTP, ID: int64(n), Use: n & 0x7fff, Session: n & 0xff, Timestamp: 1<<24 - 1, At: time.UnixMicro(int64(n)).UTC()}
	switch n % 3 {
	case 1:
		e = Entry{Kind: Moving, ID: int64(n), Moving: 1<<62 + int64(n), At: e.At}
	case 2:
		e = Entry{Kind: Code, ID: int64(n), Left: int64(n), At: e.At}
	}
	return e
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func add(t testing.TB, w *Writer, from, to int) {
	t.Helper()
	var list []Entry
	for n := from; n < to; n++ {
		list = append(list, entry(n))
	}
	if err := w.Append(list); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) (Log, []Entry) {
	t.Helper()
	var got []Entry
	l, err := Read(path, 2, func(e Entry) error { got = append(got, e); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return l, got
}

func want(t testing.TB, got []Entry, n int) {
	t.Helper()
	if len(got) != n {
		t.Fatalf("%d entries, want %d", len(got), n)
	}
	for i, e := range got {
		if e != entry(i) {
			t.Fatalf("entry %d is %+v", i, e)
		}
	}
}

// TestParts: a server that is started again, and a file that has grown, go on in a part of their own.
func TestParts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "spent.log")
	w := open(t, path)
	if err := w.Serves("validate-1"); err != nil {
		t.Fatal(err)
	}
	add(t, w, 0, 10)
	if _, err := Open(path, header(), rand.Reader); runtime.GOOS != "windows" && !errors.Is(err, ErrInUse) {
		t.Fatalf("beside a server that runs: %v", err)
	}
	must(t, w.f.Close()) // it was killed
	again := open(t, path)
	if err := again.Sees("validate-2"); err != nil {
		t.Fatal(err)
	}
	again.most = 500
	for n := 10; n < 40; n++ {
		add(t, again, n, n+1)
	}
	l, got := read(t, path)
	want(t, got, 40)
	if l.Damage != "" || l.First.Part != 1 || l.Last.Part < 4 || l.First.Desk.Seq != 7 || !slices.Equal(l.Serves, []string{"validate-1"}) || !slices.Equal(l.Sees, []string{"validate-2"}) {
		t.Errorf("%+v", l)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+fmt.Sprintf(".%06d", l.Last.Part)); err != nil { // killed between two parts
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("0123"), 0o600); err != nil { // and in the middle of a header
		t.Fatal(err)
	}
	if l, got = read(t, path); l.Damage != "" {
		t.Errorf("%+v", l)
	}
	want(t, got, 40)
	add(t, open(t, path), 40, 41)
	l, got = read(t, path)
	want(t, got, 41)
	if l.Damage != "" {
		t.Error(l.Damage)
	}
	if err := os.Remove(path + ".000002"); err != nil {
		t.Fatal(err)
	}
	if l, _ = read(t, path); l.Damage == "" {
		t.Error("a part is missing, and nobody says so")
	}
	if _, err := Open(path, Header{Store: "0022"}, rand.Reader); err == nil {
		t.Error("the log of another store was taken")
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none"), 0, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no log: %v", err)
	}
}

// TestOldPartsCanGo: without its first parts a log still says whose it is.
func TestOldPartsCanGo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "spent.log")
	w := open(t, path)
	must(t, w.Serves("validate-1"))
	w.most = 500
	for n := range 40 {
		add(t, w, n, n+1)
	}
	must(t, os.Remove(path+".000001"))
	if l, _ := read(t, path); l.Damage != "" || l.First.Part != 2 || !slices.Contains(l.Serves, "validate-1") {
		t.Errorf("%+v", l)
	}
}

// TestTorn cuts a log at every byte, and changes every byte: what was durable before is read, nothing else is, and a change is told apart
// from a group that was never answered.
func TestTorn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "spent.log")
	w := open(t, path)
	ends, sizes := []int{0}, []int64{w.size}
	for n := 0; n < 12; n += 4 {
		add(t, w, n, n+4)
		ends, sizes = append(ends, n+4), append(sizes, w.size)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := parse(bytes.NewReader(text), 2, nil)
	if err != nil || p.damage != "" {
		t.Fatal(p, err)
	}
	headerEnd := bytes.IndexByte(text, '\n') + 1
	for n := range text {
		for name, bad := range map[string][]byte{"cut": text[:n], "changed": slices.Concat(text[:n], []byte{text[n] ^ 1}, text[n+1:]), "zeros": slices.Concat(text[:n], make([]byte, 100))} {
			var got []Entry
			p, err := parse(bytes.NewReader(bad), 2, func(e Entry) error { got = append(got, e); return nil })
			if n < headerEnd {
				if err == nil && !bytes.Equal(bad, text) {
					t.Fatalf("%s in the header at %d: taken", name, n)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s at %d: %v", name, n, err)
			}
			durable := 0
			for i, size := range sizes {
				if int64(n) >= size {
					durable = ends[i]
				}
			}
			if len(got) < durable || len(got) > durable+4 {
				t.Fatalf("%s at %d: %d entries, %d were durable", name, n, len(got), durable)
			}
			want(t, got, len(got))
			if damaged := name == "changed" && int64(n) < sizes[2]; damaged != (p.damage != "") {
				t.Fatalf("%s at %d: damage %q", name, n, p.damage)
			}
		}
	}
}

// TestAppendAtOnce: entries of many callers are all there.
func TestAppendAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "spent.log")
	w := open(t, path)
	w.most = 2000
	var wg sync.WaitGroup
	for n := range 64 {
		wg.Go(func() { add(t, w, n, n+1) })
	}
	wg.Wait()
	l, got := read(t, path)
	slices.SortFunc(got, func(a, b Entry) int { return int(a.ID - b.ID) })
	want(t, got, 64)
	if l.Damage != "" {
		t.Error(l.Damage)
	}
}

// TestDiskFails: after a write that failed nothing is lost that was answered, and the log goes on.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "spent.log")
	w := open(t, path)
	add(t, w, 0, 5)
	good := w.f
	closed, err := os.Create(filepath.Join(t.TempDir(), "closed"))
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	w.f = closed
	if err := w.Append([]Entry{entry(99)}); err == nil {
		t.Fatal("it was not written, and nobody says so")
	}
	if _, err := good.WriteString("0badcafe o 1 2"); err != nil { // what a full disk leaves
		t.Fatal(err)
	}
	add(t, w, 5, 9)
	l, got := read(t, path)
	want(t, got, 9)
	if l.Damage != "" || l.Last.Part != 2 {
		t.Errorf("%+v", l)
	}
}

// FuzzParse: nothing panics, and an entry that is read is written again as it was.
func FuzzParse(f *testing.F) {
	path := filepath.Join(f.TempDir(), "spent.log")
	w := open(f, path)
	add(f, w, 0, 6)
	if err := w.Sees("validate-9"); err != nil {
		f.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(text[:len(text)-9])
	f.Add([]byte("h {}\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		_, _ = parse(bytes.NewReader(text), 0, func(e Entry) error {
			if !bytes.Contains(text, e.append(nil)) {
				t.Errorf("%+v was not written", e)
			}
			return nil
		})
		for l := range strings.Lines(string(text)) {
			if e, err := parseEntry(strings.TrimSuffix(l, "\n")); err == nil && string(e.append(nil))+"\n" != strings.TrimSuffix(l, "\n")+"\n" {
				t.Errorf("%q became %q", l, e.append(nil))
			}
		}
	})
}
