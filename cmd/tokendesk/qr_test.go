package main

import (
	"bytes"
	"encoding/base32"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/qr"
	"github.com/tokendesk/tokendesk/provision/desk"
)

// addApp makes a pending app token of ada and returns its key.
func (r *rig) addApp(words ...string) []byte {
	r.t.Helper()
	r.must(append([]string{"token", "add"}, words...)...)
	st := r.open()
	tokens, err := st.Tokens(r.t.Context(), desk.Match{})
	if err != nil {
		r.t.Fatal(err)
	}
	list, err := st.Credentials(r.t.Context(), tokens[len(tokens)-1].ID)
	if err != nil || len(list) != 1 {
		r.t.Fatalf("%d credentials, %v", len(list), err)
	}
	rec, err := st.Record(r.t.Context(), list[0].ID)
	if err != nil {
		r.t.Fatal(err)
	}
	return bytes.Clone(rec.Key.Reveal())
}

// appSecrets are the spellings of a seed, also the app's own.
func appSecrets(key []byte) []named {
	return []named{{name: "seed", raw: key}, {name: "seed in base32", text: base32.StdEncoding.EncodeToString(key)}}
}

// TestQROnTheTerminal: what is drawn is the URI, and nothing else of the run holds the secret.
func TestQROnTheTerminal(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	r.must("person", "add", "ada")
	key := r.addApp("--type", "totp", "--to", "ada", "--issuer", "Example")
	r.stdoutTTY = true
	uri := strings.TrimSpace(string(r.handOver("token", "qr", "ada", "--uri")))
	if !strings.Contains(uri, base32.StdEncoding.EncodeToString(key)) {
		t.Error("the URI holds another key")
	}
	for _, flags := range [][]string{{}, {"--light"}} {
		drawn := r.handOver(append([]string{"token", "qr", "ada"}, flags...)...)
		if got := readBlocks(t, string(drawn), len(flags) > 0); len(got) != 1 || got[0] != uri {
			t.Errorf("%v: the code does not hold the URI", flags)
		}
		if strings.HasPrefix(string(drawn), " ") != (len(flags) > 0) {
			t.Errorf("%v: the border has the wrong colour", flags)
		}
	}
	r.must("token", "qr", "ada", "--out", filepath.Join(t.TempDir(), "a.png"), "-o", "json")
	r.run("token", "show", "ada", "-o", "json")
	r.run("audit", "list", "--raw")
	r.search(appSecrets(key))
}

// readBlocks reads the codes that half blocks draw.
func readBlocks(t *testing.T, text string, light bool) []string {
	t.Helper()
	const scale = 4
	ink, paper := color.Color(color.White), color.Color(color.Black)
	if light {
		ink, paper = paper, ink
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	img := image.NewRGBA(image.Rect(0, 0, len([]rune(lines[0]))*scale, len(lines)*2*scale))
	for y, line := range lines {
		for x, c := range []rune(line) {
			for half, on := range []bool{strings.ContainsRune("▀█", c), strings.ContainsRune("▄█", c)} {
				for i := range scale * scale {
					paint := paper
					if on {
						paint = ink
					}
					img.Set(x*scale+i%scale, (2*y+half)*scale+i/scale, paint)
				}
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	texts, err := qr.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range texts {
		out = append(out, string(s.Reveal()))
	}
	return out
}

// TestPictureReadsElsewhere lets zbarimg read the picture, and looks at its mode.
func TestPictureReadsElsewhere(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("zbarimg")
	if err != nil {
		if os.Getenv("TOKENDESK_JUDGES") == "1" {
			t.Fatal("zbarimg is not installed, and TOKENDESK_JUDGES is 1")
		}
		t.Skip("zbarimg is not installed")
	}
	r := newRig(t, 2)
	r.must("init")
	for _, words := range []string{"--type totp", "--type totp --hash sha512 --digits 8 --period 60 --issuer Example", "--type hotp"} {
		key := r.addApp(strings.Fields(words)...)
		label := strings.Fields(r.out.String()[strings.LastIndex(r.out.String(), "Label"):])[1]
		file := filepath.Join(t.TempDir(), "code.png")
		r.must("token", "qr", label, "--out", file)
		if st, err := os.Stat(file); err != nil || !fileMode600(st) {
			t.Errorf("%v, %v", st, err)
		}
		uri := strings.TrimSpace(string(r.handOver("token", "qr", label, "--uri")))
		read, err := exec.CommandContext(t.Context(), path, "--raw", "--quiet", file).Output()
		if err != nil || strings.TrimSpace(string(read)) != uri || !strings.Contains(uri, base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(key)) {
			t.Errorf("%s: zbarimg reads something else, %v", words, err)
		}
	}
}

// TestFailedPictureIsRemoved: the writer's error leaves no half file behind.
func TestFailedPictureIsRemoved(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "a.png")
	if err := makeFile(name, func(w io.Writer) error {
		_, _ = w.Write([]byte("half"))
		return os.ErrClosed
	}); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(name); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
}
