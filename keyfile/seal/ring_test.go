package seal

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// TestVersions: what any version sealed is opened as long as the file has it, and marks never change.
func TestVersions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	first, err := CreateFile(path, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := Place{Owner: "credential", ID: 7, What: AESKey}
	s := secret.Copy([]byte("sixteen bytes ok"))
	check, err := first.Check(rand.Reader, StoreID{})
	if err != nil {
		t.Fatal(err)
	}
	mark := first.Mark(s)
	rows := map[uint32][]byte{}
	for want := uint32(1); want <= 4; want++ {
		k, err := LoadFile(path)
		if err != nil || k.Version() != want || len(k.Versions()) != int(want) || !slices.IsSortedFunc(k.Versions(), func(a, b uint32) int { return int(b) - int(a) }) {
			t.Fatalf("versions %v, %v", k.Versions(), err)
		}
		if k.Mark(s) != mark || !k.Marks(first) || !k.Matches(StoreID{}, check) {
			t.Fatal("the marks changed, or the key is not known again")
		}
		if rows[want], err = k.Seal(rand.Reader, p, s); err != nil {
			t.Fatal(err)
		}
		for v, row := range rows {
			if got, err := k.Open(p, v, row); err != nil || !got.Equal(s) {
				t.Errorf("version %d: %v", v, err)
			}
			if _, err := k.Open(p, v%4+1, row); !errors.Is(err, ErrOpen) {
				t.Errorf("version %d as another: %v", v, err)
			}
			old, ok := k.At(v)
			again, err := old.Seal(rand.Reader, p, s)
			if _, e := k.Open(p, v, again); !ok || err != nil || e != nil || old.Version() != v {
				t.Errorf("sealed at version %d: %v, %v", v, err, e)
			}
		}
		if _, ok := k.At(9); ok || k.Has(9) {
			t.Error("a version that is not there")
		}
		if next, err := NewFile(path, nil).AddVersion(want, rand.Reader); err != nil || next.Version() != want+1 || !next.Marks(first) {
			t.Fatal(err)
		}
	}
	k, err := NewFile(path, nil).KeepVersion(5, rand.Reader)
	if err != nil || len(k.Versions()) != 1 || k.Mark(s) != mark || k.Matches(StoreID{}, check) {
		t.Errorf("kept %v, %v", k.Versions(), err)
	}
	if again, err := LoadFile(path); err != nil || again.Version() != 5 || again.Mark(s) != mark {
		t.Errorf("after that: %v", err)
	}
	if _, err := NewFile(path, nil).KeepVersion(4, rand.Reader); err == nil {
		t.Error("kept a version that is gone")
	}
	if st, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}

// TestChangesAtOnce: a version that somebody was given is in the file, whoever else adds or takes away.
func TestChangesAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if _, err := CreateFile(path, rand.Reader); err != nil {
		t.Fatal(err)
	}
	p := Place{Owner: "credential", ID: 7, What: AESKey}
	for round := range uint32(20) {
		var rows [8][]byte
		var wg sync.WaitGroup
		for i := range rows {
			wg.Go(func() {
				k, err := NewFile(path, nil).AddVersion(round+1, rand.Reader)
				if err == nil {
					rows[i], err = k.Seal(rand.Reader, p, secret.Copy([]byte("sixteen bytes ok")))
				}
				if err != nil && !errors.Is(err, ErrChanged) {
					t.Error(err)
				}
				if _, err := NewFile(path, nil).KeepVersion(round+1, rand.Reader); err != nil && i == 0 { // finished late
					t.Error(err)
				}
			})
		}
		wg.Wait()
		k, err := LoadFile(path)
		if err != nil || k.Version() != round+2 {
			t.Fatal(k.Versions(), err)
		}
		given := 0
		for _, row := range rows {
			if row == nil {
				continue
			}
			given++
			if s, err := k.Open(p, round+2, row); err != nil {
				t.Fatal("what was sealed with a version that was given does not open any more")
			} else {
				s.Destroy()
			}
		}
		if given != 1 {
			t.Fatalf("%d were given version %d", given, round+2)
		}
		if _, err := NewFile(path, nil).KeepVersion(round+2, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
}

func TestChangeRefusals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if _, err := NewFile(path, nil).AddVersion(1, rand.Reader); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := CreateFile(path, rand.Reader); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewFile(path, nil).AddVersion(1, bytes.NewReader(nil)); err == nil {
		t.Error("added without randomness")
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file changed: %v", err)
	}
	for n := range uint32(maxVersions - 1) {
		if _, err := NewFile(path, nil).AddVersion(n+1, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := NewFile(path, nil).AddVersion(maxVersions, rand.Reader); err == nil {
		t.Error("too many versions")
	}
	if k, err := LoadFile(path); err != nil || k.Version() != maxVersions {
		t.Error(err)
	}
}

func TestParseRingRefuses(t *testing.T) {
	t.Parallel()
	one, two := sealingPrefix+"1:"+digits+"\n", sealingPrefix+"2:"+digits+"\n"
	mark := markingPrefix + "1:" + digits + "\n"
	for name, text := range map[string]string{
		"empty": "", "no version": mark, "two without marks": two + one, "wrong order": one + two + mark, "twice": one + one + mark,
		"marks first": mark + one, "marks twice": one + mark + mark, "marks of version 2": one + markingPrefix + "2:" + digits + "\n",
		"blank line": one + "\n", "signing key": signingPrefix + "1:" + digits + "\n", "junk": one + "junk",
		"seventeen": strings.Repeat(two, 17) + mark, "long": one + strings.Repeat("x", maxRing),
	} {
		if r, err := parseRing([]byte(text)); !errors.Is(err, ErrFormat) || r.versions != nil || r.marking.Len() > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParseRing: what is read is written back the same, and an error leaves nothing.
func FuzzParseRing(f *testing.F) {
	one, two := sealingPrefix+"1:"+digits+"\n", sealingPrefix+"2:"+digits+"\r\n"
	mark := markingPrefix + "1:" + digits
	for _, s := range []string{one, two + one + mark, one + mark + "\n", mark, ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRing(text)
		if err != nil {
			if r.versions != nil || r.marking.Len() > 0 {
				t.Fatal("an error with a key")
			}
			return
		}
		want := strings.TrimRight(strings.ReplaceAll(string(text), "\r\n", "\n"), "\r\n")
		if got := strings.TrimRight(string(r.marshal()), "\n"); got != want {
			t.Fatalf("read %d bytes, wrote %d", len(want), len(got))
		}
		if _, err := r.key(); err != nil {
			t.Fatal(err)
		}
	})
}
