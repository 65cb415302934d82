//go:build (cgo || windows) && !nopcsc

package pivhw

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	pivgo "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/pcsc"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Available says whether this build has PIV.
const Available = true

// Card is the PIV application of a key that is held. It belongs to one goroutine.
type Card struct {
	readers *pcsc.Service
	reader  string

	// Of the two ways to the card one is open at most.
	card *pcsc.Card // with own
	own  *applet
	lib  *pivgo.YubiKey

	serial   token.Serial // as Facts read it: each time the card is taken again it must be the same key; 0: not read, or not told
	left     int          // the PIN's tries when they were last read
	verified bool         // the PIN was, over lib
	proven   bool         // a PIN or management key was sent over lib: the card may still believe it
	wrong    refusal
	busy     chan struct{} // closed when a command that was given up has ended; nil: none was
	closed   bool
}

// refusal is the last PIN that the card refused: it is not sent again.
type refusal struct {
	pin  secret.Bytes
	left int
}

// Open holds the card in a reader. Errors wrap those of pcsc.Service.Open, or piv.ErrNoApplet. The caller closes the card.
func Open(ctx context.Context, readers *pcsc.Service, reader string) (*Card, error) {
	c := &Card{readers: readers, reader: reader}
	if _, err := c.ours(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Reader is the name of the card's reader.
func (c *Card) Reader() string { return c.reader }

// usable is an error where the card cannot be used.
func (c *Card) usable(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case c.closed, c.busy != nil:
		return fmt.Errorf("smart card in %q: %w", c.reader, os.ErrClosed)
	}
	return nil
}

// ours is the way by commands of our own. A PIN that was verified is not any more.
func (c *Card) ours(ctx context.Context) (*applet, error) {
	if err := c.usable(ctx); err != nil {
		return nil, err
	}
	if c.own != nil {
		return c.own, nil
	}
	if err := c.closeLib(); err != nil {
		return nil, err
	}
	card, err := c.readers.Open(ctx, c.reader)
	if err != nil {
		return nil, err
	}
	if c.own, err = selectApplet(ctx, card, rand.Reader); err != nil {
		return nil, errors.Join(fmt.Errorf("smart card in %q: %w", c.reader, err), card.Close())
	}
	c.card = card
	if c.serial != 0 {
		if serial, err := c.own.serial(ctx); err != nil || serial != c.serial {
			return nil, errors.Join(c.other(serial, err), c.closeOwn())
		}
	}
	return c.own, nil
}

// longest is more than any command takes: RSA of 4096 bits is generated within minutes, a touch is waited for 15 seconds. piv-go itself would
// ask for ever for the rest of an answer without an end.
const longest = 5 * time.Minute

// theirs runs f over piv-go, with a copy of the management key that is cleared afterwards. Where ctx ends before f does, f is given up, and
// the card can only be closed. What f fails with is translated; where it panics, which piv-go does on an answer that is cut short, that is
// the card's fault.
func theirs[T any](ctx context.Context, c *Card, management secret.Bytes, f func(yk *pivgo.YubiKey, management []byte) (T, error)) (T, error) {
	var none T
	if err := c.openLib(ctx); err != nil {
		return none, err
	}
	yk, key := c.lib, bytes.Clone(management.Reveal())
	c.proven = c.proven || len(key) > 0
	type result struct {
		v   T
		err error
	}
	done, ended := make(chan result, 1), make(chan struct{})
	go func() {
		var r result
		defer func() {
			if recover() != nil {
				r.err = fmt.Errorf("%w: it is cut short", piv.ErrProtocol)
			}
			clear(key)
			done <- r
			close(ended)
		}()
		r.v, r.err = f(yk, key)
	}()
	long := time.NewTimer(longest)
	defer long.Stop()
	var err error
	select {
	case r := <-done:
		return r.v, c.told(r.err)
	case <-ctx.Done():
		err = ctx.Err()
	case <-long.C:
		err = fmt.Errorf("%w: an answer without an end", piv.ErrProtocol)
	}
	c.busy = ended
	return none, err
}

// do is theirs without a result and a management key.
func (c *Card) do(ctx context.Context, f func(*pivgo.YubiKey) error) error {
	_, err := theirs(ctx, c, secret.Bytes{}, func(yk *pivgo.YubiKey, _ []byte) (struct{}, error) { return struct{}{}, f(yk) })
	return err
}

// libWait is for another program that took the card, and began a transaction, between two uses of ours. Wait's patience is within it, and what
// piv-go asks a card on a busy machine.
const libWait = 15 * time.Second

// openLib is the way over piv-go.
func (c *Card) openLib(ctx context.Context) error {
	if err := c.usable(ctx); err != nil || c.lib != nil {
		return err
	}
	if err := c.closeOwn(); err != nil {
		return err
	}
	type result struct {
		lib *pivgo.YubiKey
		err error
	}
	done := make(chan result, 1)
	go func() { // the service itself waits for another program's transaction, without end
		var r result
		r.err = c.readers.Wait(ctx, c.reader, func() (err error) {
			r.lib, err = pivgo.Open(c.reader)
			return cause(err)
		})
		done <- r
	}()
	var err error
	select {
	case r := <-done:
		if r.err == nil {
			c.lib = r.lib
			if c.serial == 0 {
				return nil
			}
			serial, err := c.lib.Serial() // selects PIV again where it selects another application
			if err == nil && token.Serial(serial) == c.serial {
				return nil
			}
			return errors.Join(c.other(token.Serial(serial), cause(err)), c.closeLib())
		}
		return fmt.Errorf("smart card in %q: %w", c.reader, r.err)
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(libWait):
		err = pcsc.Held(c.reader)
	}
	go func() {
		if r := <-done; r.err == nil {
			_ = r.lib.Close() // nobody waits for it any more
		}
	}()
	return fmt.Errorf("smart card in %q: %w", c.reader, err)
}

// other says that another key is in the reader than the one that was opened.
func (c *Card) other(serial token.Serial, err error) error {
	if err == nil {
		err = fmt.Errorf("%w: %v instead of %v", piv.ErrOtherCard, serial, c.serial)
	}
	return fmt.Errorf("smart card in %q: %w", c.reader, err)
}

func (c *Card) told(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("smart card in %q: %w", c.reader, cause(err))
}

// closeOwn ends the connection of our own, with the management key forgotten, for the same reason as closeLib: also between the two ways another
// program may come next.
func (c *Card) closeOwn() error {
	if c.own == nil {
		return nil
	}
	own, card := c.own, c.card
	c.own, c.card = nil, nil
	if own.proven {
		ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
		defer cancel()
		_ = own.leave(ctx) // a failure is that of a card which left
	}
	return card.Close()
}

// leaveTime bounds how long a card takes to forget the management key. It is long: the card of a machine that stands still must forget it too.
const leaveTime = 10 * time.Second

// closeLib ends piv-go's connection, with PIN and management key forgotten: the card itself stays powered, and would believe whoever comes next.
func (c *Card) closeLib() error {
	if c.lib == nil {
		return nil
	}
	lib := c.lib
	c.lib = nil
	c.verified = false
	if c.proven {
		c.proven = false
		forget(lib)
	}
	err := cause(lib.Close())
	if gone(err) {
		return nil // what was pulled out is given back
	}
	return err
}

// forget lets piv-go select another application and PIV again, which nothing of it does by name. A failure is that of a card which left.
func forget(lib *pivgo.YubiKey) {
	if lib.Version().Major < 5 {
		_, _ = lib.Serial()
		return
	}
	_, _ = lib.FormFactor()
}

// giveUp is how long Close waits for a command that was given up. After that the card is given back as soon as the service lets it, at the
// latest when the program ends.
const giveUp = time.Second

// Close gives the card back, with the PIN forgotten. It may be called more than once.
func (c *Card) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	c.wrong.pin.Destroy()
	if c.busy != nil {
		select {
		case <-c.busy:
		case <-time.After(giveUp):
			lib := c.lib
			c.lib = nil
			go func() { _ = lib.Close() }() // it waits for the command too, and ends those that piv-go would have follow
			return nil
		}
	}
	return errors.Join(c.closeOwn(), c.closeLib())
}

// Facts implements piv.Reader.
func (c *Card) Facts(ctx context.Context) (piv.Facts, error) {
	own, err := c.ours(ctx)
	if err != nil {
		return piv.Facts{}, err
	}
	f, err := own.facts(ctx)
	if err != nil {
		return piv.Facts{}, fmt.Errorf("smart card in %q: %w", c.reader, err)
	}
	c.left, c.serial = f.PIN.Left, f.Serial
	return f, nil
}

// PINTries implements piv.Reader. While the PIN is verified the card tells no number; those are given that it had before, and
// it has no fewer.
func (c *Card) PINTries(ctx context.Context) (int, error) {
	if err := c.usable(ctx); err != nil || c.verified {
		return c.left, err
	}
	if c.own != nil {
		var err error
		c.left, err = c.own.pinTries(ctx)
		return c.left, err
	}
	left, err := theirs(ctx, c, secret.Bytes{}, func(yk *pivgo.YubiKey, _ []byte) (int, error) { return yk.Retries() })
	if err == nil {
		c.left = left
	}
	return left, err
}

// Authenticate implements piv.Credentials.
func (c *Card) Authenticate(ctx context.Context, management secret.Bytes) error {
	own, err := c.ours(ctx)
	if err != nil {
		return err
	}
	return own.authenticate(ctx, management)
}

// DeleteKey implements piv.Keys.
func (c *Card) DeleteKey(ctx context.Context, management secret.Bytes, s piv.Slot) error {
	own, err := c.ours(ctx)
	if err != nil {
		return err
	}
	if err := own.authenticate(ctx, management); err != nil {
		return err
	}
	return own.deleteKey(ctx, s)
}

// PutObject implements piv.Keys.
func (c *Card) PutObject(ctx context.Context, management secret.Bytes, o piv.Object, value []byte) error {
	own, err := c.ours(ctx)
	if err != nil {
		return err
	}
	if err := own.authenticate(ctx, management); err != nil {
		return err
	}
	return own.putObject(ctx, o, value)
}
