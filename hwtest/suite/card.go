package suite

import (
	"context"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/provision/pcsc"
)

// keyReaders are the names of the readers with a key in them.
func keyReaders(ctx context.Context) ([]string, error) {
	list, err := pcsc.System().Readers(ctx)
	var names []string
	for _, r := range list {
		if _, ok := r.Key(); ok && len(r.ATR) > 0 {
			names = append(names, r.Name)
		}
	}
	return names, err
}

// OpenReader takes the card of the one key in a smart-card reader, by the system's service.
func OpenReader(ctx context.Context) (Card, error) {
	names, err := keyReaders(ctx)
	if err != nil {
		return nil, err
	}
	if len(names) != 1 {
		return nil, fmt.Errorf("%d keys in readers, want just one", len(names))
	}
	c, err := pcsc.System().Open(ctx, names[0])
	if err != nil {
		return nil, err
	}
	return c, nil
}

// WaitReader waits until the smart-card service sees one key, or until it sees none.
func WaitReader(ctx context.Context, want bool) error {
	tick := time.NewTicker(attachPoll)
	defer tick.Stop()
	for {
		names, err := keyReaders(ctx)
		if err != nil {
			return err
		}
		if want && len(names) == 1 || !want && len(names) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for a key in a reader (%t): %w", want, ctx.Err())
		case <-tick.C:
		}
	}
}
