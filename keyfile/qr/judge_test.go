package qr

import (
	"bytes"
	"context"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// judge runs a foreign program. The test is skipped where it is not installed, unless TOKENDESK_JUDGES is 1.
func judge(t *testing.T, stdin string, name string, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("TOKENDESK_JUDGES") == "1" {
			t.Fatalf("%s is not installed, and TOKENDESK_JUDGES is 1", name)
		}
		t.Skip(name + " is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}

// long is a text of the longest export that is written into one code.
var long = "otpauth-migration://offline?data=" + strings.Repeat("Ck%2F", 400)

func TestZbarimgReadsOurs(t *testing.T) {
	t.Parallel()
	for i, text := range []string{uri, long, "HELLO 123"} {
		c := mustEncode(t, text)
		var asPNG bytes.Buffer
		var dark strings.Builder
		if err := c.PNG(&asPNG); err != nil {
			t.Fatal(err)
		}
		if err := c.Terminal(&dark, Dark); err != nil {
			t.Fatal(err)
		}
		var svg strings.Builder
		if err := c.SVG(&svg); err != nil {
			t.Fatal(err)
		}
		for name, file := range map[string][]byte{"PNG": asPNG.Bytes(), "terminal": pngOf(t, rasterize(t, dark.String(), color.White, color.Black)), "SVG": pngOf(t, shapes(t, svg.String()))} {
			path := filepath.Join(t.TempDir(), "code.png")
			if err := os.WriteFile(path, file, 0o600); err != nil {
				t.Fatal(err)
			}
			if out := judge(t, "", "zbarimg", "--quiet", "--raw", path); strings.TrimSuffix(string(out), "\n") != text {
				t.Errorf("text %d as %s: zbarimg says %q", i, name, out)
			}
		}
	}
}

func TestReadsQrencode(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-s", "3"}, {"-s", "1", "-m", "4"}, {"-l", "H", "-s", "5"}, {"-m", "1", "-s", "4"}, {"-m", "0", "-s", "6"}, {"--foreground=203040", "--background=e0e0c0", "-s", "4"}} {
		file := judge(t, uri, "qrencode", append(slices.Clone(args), "-t", "PNG", "-o", "-")...)
		img, err := png.Decode(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		assertReads(t, strings.Join(args, " "), file, uri)
		if args[1] != "1" {
			assertReads(t, strings.Join(args, " ")+", JPEG", jpegOf(t, img, 60), uri)
		}
	}
}
