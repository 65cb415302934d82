package desk

import (
	"strings"
	"testing"
)

// FuzzCodeDigits: a code is what was typed without its blanks, and has 6 to 8 digits; anything else is none.
func FuzzCodeDigits(f *testing.F) {
	for _, text := range []string{"123456", " 123 456\n", "12345678", "12345", "123456789", "12345a", "", "١٢٣٤٥٦", "123\u00a0456"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		code, ok := codeDigits(text)
		if !ok {
			if code != "" {
				t.Fatal("a code that is none")
			}
			return
		}
		if len(code) < 6 || len(code) > 8 || strings.Trim(code, "0123456789") != "" {
			t.Fatalf("%q", code)
		}
		if again, ok := codeDigits(code); !ok || again != code {
			t.Fatalf("%q became %q", code, again)
		}
	})
}
