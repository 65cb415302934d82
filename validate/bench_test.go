package validate_test

import (
	"testing"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

func TestDecryptAndDecideDoNotAllocate(t *testing.T) {
	d := newDesk(t, token.Active)
	c, err := d.store.Find(t.Context(), d.c.PublicID)
	if err != nil {
		t.Fatal(err)
	}
	block := validate.Readings(d.press(t, 1, 0))[0].Block
	if n := testing.AllocsPerRun(100, func() {
		if otp, verdict := c.Cipher.Open(block); verdict != yubiotp.OK || validate.Decide(c.Row, otp, "n").Outcome != validate.Accepted {
			t.Error("not accepted")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDecryptAndDecide(b *testing.B) {
	d := newDesk(b, token.Active)
	c, err := d.store.Find(b.Context(), d.c.PublicID)
	if err != nil {
		b.Fatal(err)
	}
	block := validate.Readings(d.press(b, 1, 0))[0].Block
	b.ReportAllocs()
	for b.Loop() {
		otp, _ := c.Cipher.Open(block)
		if validate.Decide(c.Row, otp, "n").Outcome != validate.Accepted {
			b.Fatal("not accepted")
		}
	}
}
