package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tokendesk/tokendesk/provision/token"
)

// TestTorn cuts, fills and garbles the last record at every third byte, as a power failure may leave it before the method that wrote it
// returned: it is as if it never was, and what was durable stays.
func TestTorn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.open()
	issue(t, s, 1, wish(501, 1), "")
	second := issue(t, s, 2, wish(502, 2), token.Written)
	before := r.text()
	heads, err := os.ReadFile(filepath.Join(r.dir, headFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), second, proofAt(2)); err != nil {
		t.Fatal(err)
	}
	whole := r.text()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(r.dir, openDir, "2")
	kept := escrowOf(t, r, s)
	for n := len(before); n < len(whole); n += 3 { // every byte is too many for a disk
		for name, text := range map[string][]byte{
			"cut":     whole[:n],
			"zeros":   append(bytes.Clone(whole[:n]), make([]byte, len(whole)-n)...),
			"garbled": append(bytes.Clone(whole[:n]), flip(whole[n:])...),
		} {
			put(t, r.path(), text)
			put(t, filepath.Join(r.dir, headFile), heads)
			put(t, key, kept)
			s, err := Open(r.dir, r.options())
			if err != nil {
				t.Fatalf("%s at %d: %v", name, n, err)
			}
			open, err := s.Open(t.Context())
			if err != nil || len(open) != 1 || open[0].Phase != token.Written || !open[0].Credential.Secrets.Key.Equal(secretsOf(2).Key) {
				t.Fatalf("%s at %d: %+v, %v", name, n, open, err)
			}
			if !bytes.Equal(r.text(), before) {
				t.Fatalf("%s at %d: the end is not cut", name, n)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(t, r.path(), whole)
	put(t, key, kept)
	s = r.open() // whole, though its head was not written: it counts, and its secrets go
	if open, err := s.Open(t.Context()); err != nil || len(open) != 0 || r.escrowed() != 0 {
		t.Errorf("%+v, %v, %d secrets", open, err, r.escrowed())
	}
}

// escrowOf is the file with the secrets of write 2.
func escrowOf(t *testing.T, r *rig, s *Station) []byte {
	t.Helper()
	b := bundle(secretsOf(2))
	if err := s.escrow.put(2, b); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(r.dir, openDir, "2"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func put(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func flip(b []byte) []byte {
	out := bytes.Clone(b)
	out[0] ^= 1
	return out
}

// TestMissing: what was durable once is not there any more.
func TestMissing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.open()
	issue(t, s, 1, wish(501, 1), "")
	issue(t, s, 2, wish(502, 2), token.Writing)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole := r.text()
	f, err := Parse(whole, nil)
	if err != nil {
		t.Fatal(err)
	}
	frames := split(whole)
	for name, text := range map[string][]byte{
		"the last record":      whole[:len(whole)-len(frames[len(frames)-1])],
		"half of it":           whole[:len(whole)-40],
		"a record within":      join(slices.Delete(slices.Clone(frames), 3, 4)),
		"two changed places":   join(swap(frames, 2, 3)),
		"a bit in the middle":  append(append(bytes.Clone(whole[:300]), whole[300]^4), whole[301:]...),
		"everything":           []byte(magic),
		"the first record":     join(slices.Delete(slices.Clone(frames), 0, 1)),
		"nothing of a journal": []byte("tokendesk"),
	} {
		put(t, r.path(), text)
		if _, err := Open(r.dir, r.options()); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if g, err := Parse(text, f.Public); err == nil && len(g.Records) >= len(f.Records) {
			t.Errorf("%s: %d records verify", name, len(g.Records))
		}
		if got, err := os.ReadFile(r.path()); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: the damaged journal was changed", name)
		}
	}
	twice := append(bytes.Clone(whole), frames[len(frames)-1]...)
	put(t, r.path(), twice)
	if g, err := Parse(twice, nil); err != nil || len(g.Records) != len(f.Records) || g.Cause == nil {
		t.Errorf("a record twice: %d records, %v", len(g.Records), g.Cause)
	}
}

// split takes a journal apart into frames, the header first.
func split(text []byte) [][]byte {
	var out [][]byte
	for rest := text[len(magic):]; len(rest) > 0; {
		_, _, n, err := next(rest)
		if err != nil {
			return out
		}
		out, rest = append(out, rest[:n]), rest[n:]
	}
	return out
}

func join(frames [][]byte) []byte {
	return append([]byte(magic), bytes.Join(frames, nil)...)
}

func swap(frames [][]byte, i, j int) [][]byte {
	out := slices.Clone(frames)
	out[i], out[j] = out[j], out[i]
	return out
}

// FuzzParse: what verifies is a beginning of what the station wrote, whatever is done to the file.
func FuzzParse(f *testing.F) {
	r := newRig(f)
	s := r.open()
	issue(f, s, 1, wish(501, 1), "")
	if err := s.KeepAttestation(f.Context(), answer(502)); err != nil {
		f.Fatal(err)
	}
	issue(f, s, 2, wish(502, 2), token.Writing)
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	whole := r.text()
	good, err := Parse(whole, nil)
	if err != nil {
		f.Fatal(err)
	}
	frames := split(whole)
	for _, seed := range [][]byte{whole, whole[:len(whole)-9], join(swap(frames, 2, 4)), append(bytes.Clone(whole), whole...), []byte(magic), nil, join(append(slices.Clone(frames), frames[3]))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		g, err := Parse(text, good.Public)
		if err != nil {
			if len(g.Records) > 0 {
				t.Error("records beside an error")
			}
			return
		}
		if len(g.Records) > len(good.Records) || !bytes.HasPrefix(whole, text[:g.Length]) || g.Length+g.Rest != int64(len(text)) || (g.Rest > 0) != (g.Cause != nil) {
			t.Errorf("%d records, %d bytes of %d verify", len(g.Records), g.Length, len(text))
		}
		for i, x := range g.Records {
			if x.Hash != good.Records[i].Hash {
				t.Errorf("record %d is another one", i+1)
			}
		}
		if all, err := g.Entries(); err != nil {
			t.Errorf("%d entries, %v", len(all), err)
		}
	})
}

// FuzzSnapshot: only what the server signed is taken.
func FuzzSnapshot(f *testing.F) {
	r := newRig(f)
	good, err := r.snapshot.Sign(r.signing)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(bytes.Replace(good, []byte(`"most": 5`), []byte(`"most": 6`), 1))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := ParseSnapshot(text, r.signing.Public())
		if err == nil && !bytes.Equal(bytes.TrimSpace(text), bytes.TrimSpace(good)) && !sameBody(text, good) {
			t.Error("something else was taken")
		}
	})
}

// sameBody: blanks around the signature and the case of its digits are free.
func sameBody(a, b []byte) bool {
	i, j := bytes.LastIndex(a, []byte(signatureLine)), bytes.LastIndex(b, []byte(signatureLine))
	return i >= 0 && bytes.Equal(a[:i], b[:j])
}
