package sqlstore

import (
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

func TestHandover(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		storetest.RunHandover(t, func(t *testing.T, now func() time.Time) (storetest.Full, storetest.Full) {
			h := open(t)
			h.s.now, h.another.now = now, now
			return h.s, h.another
		})
	})
}
