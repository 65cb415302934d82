package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	weak "math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/validate/store/chaos"
)

const (
	fireOTPs    = 8 // keys
	fireCodes   = 4 // persons: HOTP and TOTP by turns
	fireAhead   = 8 // how far a HOTP token is pressed ahead of the last code that was accepted, of 10 that would be found
	codePause   = 30 * time.Second
	fireClients = 8
)

// newOTPs imports keys, for which clients ask by the Yubico protocol.
func (f *fire) newOTPs(seed uint64) *fireLoad {
	pressers := importPressers(f.t, f.rig, fireOTPs)
	a := newAsker(f.t, f.client("mail"))
	f.hangUp = append(f.hangUp, a.hangUp)
	l := &fireLoad{history: chaos.NewHistory(), ends: map[int]chaos.End{}, query: func(key int) string { return fmt.Sprint(1001 + key) }}
	l.text = func(key int, order int64) string { return pressers[key].otp(uint32(order)) }
	l.Load = &chaos.Load{Keys: fireOTPs, Clients: fireClients, Servers: len(f.slots), Seed: seed, Wild: 50}
	l.Ask = func(_ context.Context, op chaos.Op) (chaos.Answer, bool) {
		return f.ask(op, func(ctx context.Context, s *server) (chaos.Answer, error) {
			status, err := a.once(ctx, s, l.text(op.Key, op.Order), op.Nonce)
			answer, known := map[string]chaos.Answer{
				"OK": chaos.Accepted, "REPLAYED_OTP": chaos.Replayed, "REPLAYED_REQUEST": chaos.Repeated, "BAD_OTP": chaos.Refused, "BACKEND_ERROR": chaos.Unknown,
			}[status]
			if err == nil && !known {
				err = fmt.Errorf("status %q", status)
			}
			return answer, err
		})
	}
	l.lost, l.back = func(int) {}, func(int, int64) {}
	l.fresh = func(key int, r *weak.Rand) int64 {
		if old := l.Old(key, r); r.IntN(3) == 0 && old >= 0 { // which counts only if nobody saw it, nor a newer one
			return old
		}
		return l.Press(key, r)
	}
	l.Begin(1 << 8)
	return l
}

// ask asks the server that is in the place now. An error that is not errSilent is an answer that nobody should get.
func (f *fire) ask(op chaos.Op, do func(context.Context, *server) (chaos.Answer, error)) (chaos.Answer, bool) {
	ctx, cancel := context.WithTimeout(f.t.Context(), askTime)
	defer cancel()
	changed := *f.changed.Load()
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	answer, err := do(ctx, f.slots[op.Server].Load())
	switch {
	case err == nil && answer == chaos.Unknown:
		f.failed.Add(1)
	case err == nil:
	case !errors.Is(err, errSilent):
		f.t.Errorf("%v: %v", op, err)
		return chaos.Foreign, true
	case ctx.Err() != nil:
		f.t.Errorf("%v: no answer in %v", op, askTime)
		return chaos.Unknown, true
	case !sent.Load():
		select {
		case <-changed: // there is another server
		case <-time.After(10 * time.Millisecond): // ask elsewhere
		}
		return chaos.Unknown, false
	default:
		return chaos.Unknown, true
	}
	return answer, true
}

// newCodes gives persons tokens, about whose codes clients ask by both JSON interfaces.
func (f *fire) newCodes(seed uint64) *fireLoad {
	p := &pacer{r: f.rig, from: f.clock.at}
	people := newCoders(f.t, f.rig, p, fireCodes, 1)
	c := &coderKeys{f: f, client: f.factorClient("portal"), people: people}
	f.hangUp = append(f.hangUp, c.client.http.CloseIdleConnections)
	l := &fireLoad{history: chaos.NewHistory(), ends: map[int]chaos.End{}, query: func(key int) string { return people[key].token.serial }}
	for key, who := range people {
		seed, err := hex.DecodeString(who.token.seed)
		if err != nil {
			f.t.Fatal(err)
		}
		g, err := oath.New(secret.New(seed), oath.SHA1, who.token.digits)
		if err != nil {
			f.t.Fatal(err)
		}
		c.generators = append(c.generators, g)
		issued := int64(0)
		if who.token.kind == token.TOTP {
			issued = oath.Step(f.clock.at, who.token.period)
		}
		c.top[key].Store(issued)
		l.history.Run(chaos.Op{Verb: chaos.Ask, Key: key, Order: issued}, func() (chaos.Answer, bool) { return chaos.Accepted, true }) // by token issue
	}
	l.text = func(key int, order int64) string { return c.generators[key].Code(order) }
	l.Load = &chaos.Load{Keys: fireCodes, Clients: fireCodes, Servers: len(f.slots), Seed: seed, Wild: 25, Next: c.next}
	l.lost, l.back, l.fresh = func(key int) { c.lost[key].Store(true) }, c.back, c.restoring
	l.Ask = func(_ context.Context, op chaos.Op) (chaos.Answer, bool) {
		if c.lost[op.Key].Load() && weak.IntN(20) > 0 {
			return chaos.Unknown, false
		}
		return f.ask(op, func(ctx context.Context, s *server) (chaos.Answer, error) {
			return c.ask(ctx, s, op, l.text(op.Key, op.Order))
		})
	}
	l.Begin(0)
	return l
}

// coderKeys are the tokens of the persons.
type coderKeys struct {
	f          *fire
	client     *factorClient
	people     []*coder
	generators []oath.Generator
	top, high  [fireCodes]atomic.Int64 // the highest that was accepted, and that was typed
	lost       [fireCodes]atomic.Bool  // so nobody types codes of it, but for a few
}

// next is the code that a token shows next, once what delays the next try is over. A HOTP token that was pressed too far ahead shows one
// that the server still finds.
func (c *coderKeys) next(key int, last int64, _ *weak.Rand) int64 {
	who, top := c.people[key], c.top[key].Load()
	now := c.f.clock.advance(codePause)
	if who.token.kind == token.HOTP {
		if last > top+fireAhead {
			last = top
		}
		last = max(last, top) + 1
		raise(&c.high[key], last)
		return last
	}
	for oath.Step(now, who.token.period) <= last {
		now = c.f.clock.advance(codePause)
	}
	return oath.Step(now, who.token.period)
}

// ask submits a code, by turns as JSON and as plugins of privacyIDEA do.
func (c *coderKeys) ask(ctx context.Context, s *server, op chaos.Op, code string) (chaos.Answer, error) {
	who := c.people[op.Key]
	path, kind, body := "/api/v1/verify", "application/json", fmt.Sprintf(`{"person":%q,"factor":%q}`, who.account, code)
	if op.Nonce[len(op.Nonce)-1]%2 == 0 {
		path, kind, body = "/validate/check", "application/x-www-form-urlencoded", url.Values{"user": {who.account}, "pass": {code}}.Encode()
	}
	status, text, err := c.client.send(ctx, "http://"+s.address+path, kind, body)
	if err != nil {
		return chaos.Unknown, err
	}
	var answer struct {
		Result json.RawMessage
	}
	if status == http.StatusServiceUnavailable {
		return chaos.Unknown, nil
	}
	if err := json.Unmarshal(text, &answer); status != http.StatusOK || err != nil {
		return chaos.Unknown, fmt.Errorf("HTTP %d %s", status, text)
	}
	if !bytes.Contains(answer.Result, []byte(`"accepted"`)) && !bytes.Contains(answer.Result, []byte(`"ACCEPT"`)) {
		return chaos.Denied, nil
	}
	raise(&c.top[op.Key], op.Order)
	return chaos.Accepted, nil
}

// restoring is the code that brings a token back: newer than all that were typed.
func (c *coderKeys) restoring(key int, r *weak.Rand) int64 {
	if c.people[key].token.kind == token.HOTP {
		return max(c.high[key].Load(), c.top[key].Load()) + 1
	}
	return c.f.codes.Press(key, r)
}

// back is told that a code has brought the token back.
func (c *coderKeys) back(key int, order int64) {
	c.lost[key].Store(false)
	raise(&c.top[key], order)
}

func raise(to *atomic.Int64, n int64) {
	for is := to.Load(); n > is && !to.CompareAndSwap(is, n); is = to.Load() {
	}
}

// send posts a body; errSilent if no whole answer comes.
func (c *factorClient) send(ctx context.Context, to, kind, body string) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, nil, err
	}
	req.SetBasicAuth(strconv.FormatInt(c.id, 10), c.key)
	req.Header.Set("Content-Type", kind)
	res, err := c.http.Do(req)
	if err != nil {
		return 0, nil, errSilent
	}
	answer, err = io.ReadAll(res.Body)
	_ = res.Body.Close() // read only
	if err != nil {
		return 0, nil, errSilent
	}
	return res.StatusCode, answer, nil
}
