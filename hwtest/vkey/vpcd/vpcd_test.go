package vpcd

import (
	"encoding/hex"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// TestServe plays the virtual reader: the ATR, commands, resets, and an unplugged key, which hangs up.
func TestServe(t *testing.T) {
	t.Parallel()
	k := vkey.New(vkey.YubiKey543, vkey.Options{Serial: 7654321})
	reader, card := net.Pipe()
	defer reader.Close()
	done := make(chan error, 1)
	go func() { done <- Serve(t.Context(), card, k) }()
	for _, v := range []struct{ name, message, want string }{
		{"power off", "00", ""},
		{"power on", "01", ""},
		{"ATR", "04", "3bfd1300008131fe158073c021c057597562694b657940"},
		{"SELECT", "00a4040007a0000005272001", "0504030000059000"},
		{"serial", "0001100000", "0074cbb19000"},
		{"unknown", "05", ""},
		{"reset", "02", ""},
		{"after the reset", "0001100000", "6d00"},
		{"nothing", "", "6700"},
	} {
		m, err := hex.DecodeString(v.message)
		if err != nil {
			t.Fatal(err)
		}
		if err := write(reader, m); err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		if v.want == "" {
			continue
		}
		got, err := read(reader)
		if err != nil || hex.EncodeToString(got) != v.want {
			t.Errorf("%s: %x, %v, want %s", v.name, got, err, v.want)
		}
	}
	k.Unplug()
	if _, err := read(reader); !errors.Is(err, io.EOF) {
		t.Errorf("the reader is not told that the card left: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := Serve(t.Context(), card, k); err != nil {
		t.Errorf("Serve without a card: %v", err)
	}
}
