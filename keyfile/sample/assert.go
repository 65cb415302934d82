package sample

import (
	"errors"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
)

// AssertLoss fails the test unless c names field among the losses of rec, refuses rec exactly if fatal, as a
// *keyfile.LossError about that field and token, and then writes nothing.
func AssertLoss(t *testing.T, c keyfile.Codec, name string, rec keyfile.Record, field string, fatal bool) {
	t.Helper()
	found := false
	for _, l := range c.Loss(rec) {
		if l.Field == field && l.Fatal == fatal {
			found = true
		}
		if l.Note == "" {
			t.Errorf("%s: %s: loss of %s without a note", c.Name(), name, l.Field)
		}
	}
	if !found {
		t.Errorf("%s: %s: no loss of %s (fatal %v) in %v", c.Name(), name, field, fatal, c.Loss(rec))
	}
	out := new(counter)
	err := c.NewEncoder(out).Encode(rec)
	if !fatal {
		if err != nil {
			t.Errorf("%s: %s: refused: %v", c.Name(), name, err)
		}
		return
	}
	var refused *keyfile.LossError
	if !errors.As(err, &refused) || refused.Loss.Field != field || refused.Token != rec.Name() || *out != 0 {
		t.Errorf("%s: %s: got %v after %d bytes, want a refusal for %s", c.Name(), name, err, *out, field)
	}
}

// counter counts what is written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }
