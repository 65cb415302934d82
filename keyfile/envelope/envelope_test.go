package envelope

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

// changing is a source whose bytes are replaced when it is rewound.
type changing struct {
	*bytes.Reader
	then []byte
}

func (c *changing) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		c.Reader = bytes.NewReader(c.then)
	}
	return c.Reader.Seek(offset, whence)
}

// forgetful fails when it is read behind its end, as OpenPGP's does.
type forgetful struct {
	io.Reader
	ended bool
}

func (f *forgetful) Read(p []byte) (int, error) {
	if f.ended {
		return 0, ErrBroken
	}
	n, err := f.Reader.Read(p)
	f.ended = err != nil
	return n, err
}

func plain(r io.Reader) (io.Reader, error) { return &forgetful{Reader: r}, nil }

func TestTwice(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 7} {
		text := bytes.Repeat([]byte{'x'}, n)
		src := bytes.NewReader(append([]byte("head"), text...))
		if _, err := src.Seek(4, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		r, err := Twice(src, plain)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%d bytes: %d, %v", n, len(got), err)
		}
		if again, err := r.Read(make([]byte, 1)); again != 0 || err != io.EOF {
			t.Errorf("%d bytes, behind the end: %d, %v", n, again, err)
		}
	}
}

// Not one byte of a chunk that was changed between the passes comes out.
func TestTwiceNoticesChange(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte{'x'}, 2*chunkSize+100)
	change := func(i int) []byte { c := bytes.Clone(text); c[i] ^= 1; return c }
	for name, tc := range map[string]struct {
		then  []byte
		whole int // bytes before the change that are still good
	}{
		"first chunk": {change(0), 0}, "second chunk": {change(chunkSize + 5), chunkSize}, "last chunk": {change(len(text) - 1), 2 * chunkSize},
		"cut": {text[:len(text)-1], 2 * chunkSize}, "cut at a chunk": {text[:2*chunkSize], 2 * chunkSize}, "longer": {append(bytes.Clone(text), 'x'), 2 * chunkSize},
		"longer by a chunk": {append(bytes.Clone(text), text...), 2 * chunkSize}, "empty": {nil, 0},
	} {
		r, err := Twice(&changing{bytes.NewReader(text), tc.then}, plain)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); !errors.Is(err, ErrChanged) || len(got) != tc.whole {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// An error of the disk is not called a damaged message.
func TestTwiceReportsSource(t *testing.T) {
	t.Parallel()
	disk := errors.New("disk")
	src := struct {
		io.Reader
		io.Seeker
	}{iotest.ErrReader(disk), bytes.NewReader(nil)}
	_, err := Twice(src, func(r io.Reader) (io.Reader, error) { _, _ = io.ReadAll(r); return r, ErrBroken })
	if !errors.Is(err, disk) {
		t.Error(err)
	}
	if _, err := Twice(bytes.NewReader(nil), func(io.Reader) (io.Reader, error) { return nil, ErrWrongKey }); !errors.Is(err, ErrWrongKey) {
		t.Error(err)
	}
}

func TestUnarmour(t *testing.T) {
	t.Parallel()
	const begin, end = "-----BEGIN X-----\n", "-----END X-----\n"
	for name, tc := range map[string]struct {
		text, want string
		ok         bool
	}{
		"age": {begin + "aGVsbG8=\n" + end, "hello", true}, "OpenPGP": {begin + "Version: 1\nComment: a b\n\naGVs\nbG8=\n=abcd\n" + end, "hello", true},
		"CRLF": {strings.ReplaceAll(begin+"\naGVsbG8=\n"+end, "\n", "\r\n"), "hello", true}, "BOM": {"\xEF\xBB\xBF" + begin + "\naGVsbG8=\n" + end, "hello", true},
		"blanks around": {"\n\n" + begin + "aGVsbG8=\n" + end + "\n \n", "hello", true}, "no newline at the end": {begin + "aGVsbG8=\n" + strings.TrimSpace(end), "hello", true},
		"empty": {begin + "\n" + end, "", true}, "nothing": {"", "", false}, "no end": {begin + "aGVsbG8=\n", "", false}, "half an end": {begin + "aGVsbG8=\n-----END", "", false},
		"something behind": {begin + "aGVsbG8=\n" + end + "x", "", false}, "second message": {begin + "aGVsbG8=\n" + end + begin + "aGVsbG8=\n" + end, "", false},
		"text before": {"hello\n" + begin + "aGVsbG8=\n" + end, "", false}, "behind the padding": {begin + "aGVsbG8=\naGVs\n" + end, "", false},
		"behind the CRC": {begin + "aGVs\n=abcd\naGVs\n" + end, "", false}, "other kind": {begin + "aGVs\n-----END Y-----\n", "", false},
		"not base64": {begin + "a?Vs\n" + end, "", false}, "loose bits": {begin + "aGVsbG9=\n" + end, "", false}, "long line": {begin + strings.Repeat("aGVs", 100) + "\n" + end, "", false},
		"endless headers": {begin + strings.Repeat("A: b\n", 1000), "", false}, "endless blanks": {strings.Repeat("\n", 1000), "", false}, "zeros": {begin + strings.Repeat("\x00", 100000), "", false},
	} {
		for how, r := range map[string]io.Reader{"": strings.NewReader(tc.text), "one byte at a time": iotest.OneByteReader(strings.NewReader(tc.text))} {
			got, err := io.ReadAll(Unarmour(r, "X"))
			if tc.ok && (err != nil || string(got) != tc.want) || !tc.ok && !errors.Is(err, ErrBroken) {
				t.Errorf("%s %s: %q, %v", name, how, got, err)
			}
		}
	}
	disk := errors.New("disk")
	if _, err := io.ReadAll(Unarmour(iotest.ErrReader(disk), "X")); !errors.Is(err, disk) {
		t.Error(err)
	}
}

func TestSpool(t *testing.T) {
	t.Parallel()
	f, err := Spool(strings.NewReader("encrypted"))
	if err != nil {
		t.Fatal(err)
	}
	name := f.(*spooled).Name()
	if b, err := io.ReadAll(f); err != nil || string(b) != "encrypted" {
		t.Errorf("%q, %v", b, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	if _, err := Spool(iotest.ErrReader(io.ErrNoProgress)); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

// FuzzUnarmour: what is read ends with io.EOF or ErrBroken, is no longer than the text, and comes back from armour of our own.
func FuzzUnarmour(f *testing.F) {
	for _, s := range []string{"-----BEGIN X-----\n\naGVsbG8=\n=abcd\n-----END X-----\n", "-----BEGIN X-----\n", "\n\ufeff-----BEGIN X-----\n\naGVsbG8=\n-----END X-----\n", " \ufeff-----BEGIN X-----\n\naGVsbG8=\n-----END X-----\n", "\v-----BEGIN X-----\n\naGVsbG8=\n=abcd\n-----END X-----\n", "", "\n\n\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := io.ReadAll(Unarmour(bytes.NewReader(text), "X"))
		if err != nil && !errors.Is(err, ErrBroken) || len(got) > len(text) {
			t.Fatalf("%d of %d bytes, %v", len(got), len(text), err)
		}
		if err == nil && !Armoured(text, "X") {
			t.Fatal("read what is not detected")
		}
	})
}
