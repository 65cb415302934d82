package keyfile_test

import (
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

func TestParseSeed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI":                         sample.SeedCarol,
		"cjhx tka5 c7kp 6i24 hymd tyqt cjib xoli":                  sample.SeedCarol,
		"CJHX-TKA5-C7KP-6I24-HYMD-TYQT-CJIB-XOLI":                  sample.SeedCarol,
		"T6EBGKM2L56HAHNHEGJKLOTB4R3ZWKIV3QLQRSGZ3VAN6U7HST4Q====": sample.SeedDave,
		"CJHXTKA5C7KP6I24HYMDTYQTCJIBXOL":                          "", // seven bits too few for the last byte
		"CJHXTKA5C7KP6I24HYMDTYQTCJIBXOL1":                         "", "GEZDGNBVGY3TQ": "", "": "", "CJHX\nTKA5C7KP6I24HYMD": "", "CJHXTKA5=C7KP6I24HYMDTYQT": "",
		strings.Repeat("A", 104): "",
	} {
		seed, cause := keyfile.ParseSeed([]byte(text))
		if want == "" && (cause == "" || seed.Len() > 0) || want != "" && !seed.Equal(sample.Hex(want)) {
			t.Errorf("%q: %s", text, cause)
		}
	}
}
