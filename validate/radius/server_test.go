package radius

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	rad "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/diagnose"
)

const (
	oldShared = "the older shared secret"
	newShared = "the newer shared secret"
	rightCode = "123456"
)

// world is everything around a Server, inside a bubble of synctest. The right code of ada is accepted once.
type world struct {
	*Server
	t    *testing.T
	work sync.WaitGroup
	log  bytes.Buffer

	mu      sync.Mutex
	list    []validate.NAS
	client  validate.Client
	broken  error        // of the store
	slow    atomic.Int64 // a duration
	spent   bool
	asked   []validate.Factor
	noted   int
	kept    map[string]diagnose.Attempt
	told    []validate.Answered
	limited bool
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, client: validate.Client{ID: 7, Active: true}, kept: map[string]diagnose.Attempt{}}
	w.list = []validate.NAS{
		{ID: 1, Name: "wide", Client: 7, Active: true, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")},
			Secrets: []secret.Bytes{secret.Copy([]byte(newShared)), secret.Copy([]byte(oldShared))}, NASRules: validate.NASRules{Password: validate.PasswordNone}},
		{ID: 2, Name: "narrow", Client: 7, Active: true, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.128/25")},
			Secrets: []secret.Bytes{secret.Copy([]byte(newShared))}, NASRules: validate.NASRules{Password: validate.PasswordIgnore, CodeLen: 6, OTPLen: 44}},
	}
	w.Server = New(Config{
		Checker: w, NASes: w, Clients: w, Persons: w, Doctor: w, Now: time.Now, Rand: rand.Reader, Observer: w,
		Log: slog.New(slog.NewTextHandler(&w.log, nil)), Limit: func(validate.Client, string) bool { return w.limited },
	})
	return w
}

func (w *world) NASes(context.Context) ([]validate.NAS, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.list, w.broken
}

func (w *world) Client(_ context.Context, id int64) (validate.Client, error) {
	if id != w.client.ID {
		return validate.Client{}, token.ErrNotFound
	}
	return w.client, w.broken
}

func (w *world) Check(_ context.Context, f validate.Factor) (validate.Checked, error) {
	time.Sleep(time.Duration(w.slow.Load()))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, f)
	checked := validate.Checked{Outcome: validate.BadOTP, Reason: validate.ReasonWrong, Person: 3}
	switch {
	case w.broken != nil:
		return validate.Checked{}, w.broken
	case f.Text == rightCode && w.spent:
		checked.Reason = validate.ReasonSame
	case f.Text == rightCode:
		w.spent = true
		checked.Outcome, checked.Reason, checked.Kind = validate.Accepted, validate.ReasonAccepted, string(token.TOTP)
	}
	return checked, nil
}

func (w *world) Note(context.Context, validate.Checked) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noted++
	return nil
}

func (w *world) Person(context.Context, string) (token.Person, error) {
	return token.Person{ID: 3, Account: "ada"}, nil
}

func (w *world) Diagnose(_ context.Context, q diagnose.Question) ([]diagnose.Finding, error) {
	return []diagnose.Finding{{Code: "D28", Evidence: string(q.Checked.Reason)}}, nil
}

func (w *world) Keep(_ context.Context, code string, a diagnose.Attempt) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept[code] = a
	return nil
}

func (w *world) Answered(_ context.Context, a validate.Answered) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, a)
}

// device sends requests.
type device struct {
	from   string
	shared string
}

var (
	gate   = device{"192.0.2.1:1024", newShared}
	narrow = device{"192.0.2.129:1024", newShared}
)

// request is an Access-Request with a Message-Authenticator.
func (d device) request(t testing.TB, name, typed string, more ...*rad.AVP) []byte {
	t.Helper()
	p := rad.New(rad.CodeAccessRequest, nil)
	sealed, err := rad.NewUserPassword([]byte(typed), []byte(d.shared), p.Authenticator[:])
	if err != nil {
		t.Fatal(err)
	}
	p.Attributes = append(rad.Attributes{{Type: rfc2865.UserName_Type, Attribute: rad.Attribute(name)}, {Type: rfc2865.UserPassword_Type, Attribute: sealed}}, more...)
	return d.sealed(t, p)
}

func (d device) sealed(t testing.TB, p *rad.Packet) []byte {
	t.Helper()
	raw, err := seal(p, []byte(d.shared))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// send has a packet received, and returns the answer when all that follows is done; nil: there was none.
func (w *world) send(d device, packet []byte) []byte {
	var answer []byte
	w.receive(w.t.Context(), &w.work, packet, netip.MustParseAddrPort(d.from), func(raw []byte) { answer = raw })
	w.work.Wait()
	return answer
}

// ask is send for a request that should be answered by a code; 0: by nothing. It returns the Reply-Message.
func (w *world) ask(what string, d device, packet []byte, want rad.Code) string {
	w.t.Helper()
	raw := w.send(d, packet)
	if raw == nil {
		if want != 0 {
			w.t.Errorf("%s: no answer", what)
		}
		return ""
	}
	if !authenticAnswer(raw, [16]byte(packet[authAt:attrsAt]), []byte(d.shared)) || rad.Type(raw[attrsAt]) != rfc2869.MessageAuthenticator_Type {
		w.t.Errorf("%s: the answer is not authentic", what)
	}
	_, p := mustParse(w.t, raw)
	if p.Code != want || p.Identifier != packet[1] {
		w.t.Errorf("%s: %v, want %v", what, p.Code, want)
	}
	return string(p.Get(rfc2865.ReplyMessage_Type))
}

// bubble runs a test by a clock that passes when everybody waits.
func bubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t)) })
}

func TestAnswers(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		state := &rad.AVP{Type: rfc2865.ProxyState_Type, Attribute: rad.Attribute("proxy")}
		start := time.Now()
		right := gate.request(t, "ada", rightCode, state)
		w.ask("right", gate, right, rad.CodeAccessAccept)
		if took := time.Since(start); took != 0 {
			t.Errorf("an Access-Accept after %v", took)
		}
		if want := (validate.Factor{Account: "ada", Text: rightCode, Client: w.client, Source: "192.0.2.1", Signed: true}); fmt.Sprint(w.asked) != fmt.Sprint([]validate.Factor{want}) {
			t.Errorf("%+v", w.asked)
		}
		say := w.ask("wrong", gate, gate.request(t, "ada", "654321"), rad.CodeAccessReject)
		if took := time.Since(start); took != rejectAfter {
			t.Errorf("an Access-Reject after %v", took)
		}
		support := strings.ReplaceAll(strings.TrimPrefix(say, "Not accepted. Support code: "), "-", "")
		if a, ok := w.kept[support]; !ok || a.Client != 7 || a.Source != "192.0.2.1" || a.Person == nil || len(a.Findings) != 1 || w.noted != 1 {
			t.Errorf("%q: %+v, noted %d times", say, a, w.noted)
		}
		w.ask("again, as another request", gate, gate.request(t, "ada", rightCode), rad.CodeAccessReject)
		w.ask("IPv6", device{"[2001:db8::1]:9", oldShared}, device{"", oldShared}.request(t, "ada", "1"), rad.CodeAccessReject)
		w.ask("mapped", device{"[::ffff:192.0.2.1]:9", newShared}, gate.request(t, "ada", "1"), rad.CodeAccessReject)
		w.ask("Status-Server", gate, gate.sealed(t, rad.New(rad.CodeStatusServer, nil)), rad.CodeAccessAccept)
		var got []string
		for _, a := range w.told {
			got = append(got, a.Outcome)
			if a.Door != validate.DoorRADIUS || a.Route != "wide" || a.Client != 7 || !a.Signed || a.Err != nil || a.After != nil {
				t.Errorf("%+v", a)
			}
		}
		if strings.Join(got, " ") != "accepted denied denied denied denied alive" {
			t.Errorf("%q", got)
		}
	})
}

// TestNotPAP: what is refused by its form is not looked at.
func TestNotPAP(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		avp := func(typ rad.Type, value string) *rad.AVP { return &rad.AVP{Type: typ, Attribute: rad.Attribute(value)} }
		bare := func(list ...*rad.AVP) []byte {
			p := rad.New(rad.CodeAccessRequest, nil)
			p.Attributes = list
			return gate.sealed(t, p)
		}
		user := avp(rfc2865.UserName_Type, "ada")
		for name, packet := range map[string][]byte{
			"CHAP":                bare(user, avp(rfc2865.CHAPPassword_Type, strings.Repeat("x", 17))),
			"EAP":                 bare(user, avp(rfc2869.EAPMessage_Type, "\x02\x00\x00\x08\x01ada")),
			"MS-CHAP":             bare(user, avp(rfc2865.VendorSpecific_Type, "\x00\x00\x01\x37\x01\x0a12345678")),
			"EAP and a password":  gate.request(t, "ada", rightCode, avp(rfc2869.EAPMessage_Type, "")),
			"nobody":              bare(avp(rfc2865.UserPassword_Type, strings.Repeat("x", 16))),
			"two names":           gate.request(t, "ada", rightCode, user),
			"two passwords":       gate.request(t, "ada", rightCode, avp(rfc2865.UserPassword_Type, strings.Repeat("x", 16))),
			"password of 15":      bare(user, avp(rfc2865.UserPassword_Type, strings.Repeat("x", 15))),
			"password of 0":       bare(user, avp(rfc2865.UserPassword_Type, "")),
			"password of 17":      bare(user, avp(rfc2865.UserPassword_Type, strings.Repeat("x", 17))),
			"password of 144":     bare(user, avp(rfc2865.UserPassword_Type, strings.Repeat("x", 144))),
			"only a State":        bare(user, avp(rfc2865.State_Type, "x")),
			"nothing":             bare(),
			"Service-Type, alone": bare(avp(rfc2865.ServiceType_Type, "\x00\x00\x00\x0a")),
		} {
			if say := w.ask(name, gate, packet, rad.CodeAccessReject); say != sayNotPAP {
				t.Errorf("%s: %q", name, say)
			}
		}
		for name, packet := range map[string][]byte{
			"no name": gate.request(t, "", rightCode), "a name with a control character": gate.request(t, "ada\n", rightCode),
		} {
			if say := w.ask(name, gate, packet, rad.CodeAccessReject); !strings.HasPrefix(say, "Not accepted. Support code: ") {
				t.Errorf("%s: %q", name, say)
			}
		}
		if len(w.asked) != 0 {
			t.Errorf("%+v", w.asked)
		}
	})
}

func TestDropped(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		right := gate.request(t, "ada", rightCode)
		unsigned := rad.New(rad.CodeAccessRequest, nil)
		twice := append([]byte(nil), right...)
		twice = append(twice, right[attrsAt:attrsAt+avpHeadLen+macLen]...)
		twice[lenAt], twice[lenAt+1] = byte(len(twice)>>8), byte(len(twice))
		changed := append([]byte(nil), right...)
		changed[len(changed)-1] ^= 1
		open, err := unsigned.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		revoked, elsewhere := w.client, w.client
		revoked.Active = false
		elsewhere.Networks = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
		for _, tc := range []struct {
			name   string
			from   device
			packet []byte
			client validate.Client
			why    Drop
		}{
			{"empty", gate, nil, w.client, DropMalformed},
			{"short", gate, right[:19], w.client, DropMalformed},
			{"cut", gate, right[:len(right)-1], w.client, DropMalformed},
			{"unknown address", device{"198.51.100.1:1", newShared}, right, w.client, DropUnknown},
			{"no Message-Authenticator", gate, open, w.client, DropUnsigned},
			{"two of them", gate, twice, w.client, DropUnsigned},
			{"wrong secret", gate, device{"", "another secret than that"}.request(t, "ada", rightCode), w.client, DropSecret},
			{"changed", gate, changed, w.client, DropSecret},
			{"the wider one's former secret", narrow, device{"", oldShared}.request(t, "ada", rightCode), w.client, DropSecret},
			{"accounting", gate, gate.sealed(t, rad.New(rad.CodeAccountingRequest, nil)), w.client, DropCode},
			{"CoA", gate, gate.sealed(t, rad.New(rad.CodeCoARequest, nil)), w.client, DropCode},
			{"an answer", gate, gate.sealed(t, rad.New(rad.CodeAccessAccept, nil)), w.client, DropCode},
			{"client revoked", gate, gate.request(t, "ada", rightCode), revoked, DropClient},
			{"client elsewhere", gate, gate.request(t, "ada", rightCode), elsewhere, DropClient},
			{"no client", gate, gate.request(t, "ada", rightCode), validate.Client{}, DropClient},
		} {
			before, keep := w.Dropped()[string(tc.why)], w.client
			w.client = tc.client
			if raw := w.send(tc.from, tc.packet); raw != nil || w.Dropped()[string(tc.why)] != before+1 {
				t.Errorf("%s: answer of %d bytes, dropped %v", tc.name, len(raw), w.Dropped())
			}
			w.client = keep
		}
		if len(w.asked)+len(w.told) != 0 {
			t.Errorf("%+v, %+v", w.asked, w.told)
		}
		older := device{gate.from, oldShared} // answered with that secret
		w.ask("the former secret", older, older.request(t, "ada", "1"), rad.CodeAccessReject)
	})
}

// TestDropsAreLoggedNowAndThen: a flood is a line in ten seconds.
func TestDropsAreLoggedNowAndThen(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		for range 200 {
			w.send(device{"198.51.100.1:1", newShared}, gate.request(t, "ada", rightCode))
			time.Sleep(100 * time.Millisecond)
		}
		if n := strings.Count(w.log.String(), "no device has this address"); n != 2 || !strings.Contains(w.log.String(), "packets=100") || w.Dropped()[string(DropUnknown)] != 200 {
			t.Errorf("%d lines:\n%s", n, w.log.String())
		}
	})
}

// TestSentAgain: the same request gets the same answer and no other decision; while it is decided, none.
func TestSentAgain(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		right := gate.request(t, "ada", rightCode)
		first := w.send(gate, right)
		for range 3 {
			time.Sleep(10 * time.Second)
			if again := w.send(gate, right); !bytes.Equal(again, first) {
				t.Errorf("another answer: %x", again)
			}
		}
		if len(w.asked) != 1 {
			t.Errorf("%d decisions", len(w.asked))
		}
		w.ask("from another port", device{"192.0.2.1:1025", newShared}, right, rad.CodeAccessReject)
		time.Sleep(keepSeen)
		w.ask("much later", gate, right, rad.CodeAccessReject)
		w.slow.Store(int64(3 * time.Second))
		var answers atomic.Int64
		count := func([]byte) { answers.Add(1) }
		slow := gate.request(t, "ada", "1")
		for range 4 {
			w.receive(t.Context(), &w.work, slow, netip.MustParseAddrPort(gate.from), count)
			time.Sleep(500 * time.Millisecond)
		}
		w.work.Wait()
		if answers.Load() != 1 || len(w.asked) != 4 {
			t.Errorf("%d answers, %d decisions", answers.Load(), len(w.asked))
		}
	})
}

// TestNoAnswerIsForgotten: what the store could not decide is decided when it is sent again.
func TestNoAnswerIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.ask("to fill the list", gate, gate.request(t, "ada", "1"), rad.CodeAccessReject)
		time.Sleep(freshFor - rejectAfter)
		right := gate.request(t, "ada", rightCode)
		status := gate.sealed(t, rad.New(rad.CodeStatusServer, nil))
		w.broken = errors.New("gone")
		w.at = time.Now() // the list is fresh
		w.ask("the store is gone", gate, right, 0)
		w.ask("Status-Server, gone", gate, status, 0)
		if last := w.told[len(w.told)-1]; last.Outcome != outcomeFailed || last.Err == nil {
			t.Errorf("%+v", last)
		}
		time.Sleep(freshFor)
		if raw := w.send(gate, right); raw != nil || w.Dropped()[string(DropStore)] != 1 || !strings.Contains(w.log.String(), "error=gone") {
			t.Errorf("an answer by an old list, or the log does not say why there is none:\n%s", w.log.String())
		}
		w.broken = nil
		time.Sleep(freshFor)
		w.ask("back", gate, right, rad.CodeAccessAccept)
		w.ask("Status-Server, back", gate, status, rad.CodeAccessAccept)
		w.limited = true
		limited := gate.request(t, "ada", "1")
		w.ask("too often", gate, limited, 0)
		w.limited = false
		w.ask("later", gate, limited, rad.CodeAccessReject)
	})
}

// TestChangesCount: within a second.
func TestChangesCount(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.ask("known", gate, gate.request(t, "ada", "1"), rad.CodeAccessReject)
		w.list = nil
		time.Sleep(freshFor)
		if raw := w.send(gate, gate.request(t, "ada", "1")); raw != nil || w.Dropped()[string(DropUnknown)] != 1 {
			t.Error("a revoked device was answered")
		}
	})
}

// TestShutdown: an Access-Reject does not wait, and a decision under way is finished.
func TestShutdown(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		ctx, stop := context.WithCancel(t.Context())
		var answers atomic.Int64
		for i, text := range []string{"1", rightCode} {
			w.slow.Store(int64(i) * int64(2*time.Second))
			w.receive(ctx, &w.work, gate.request(t, "ada", text), netip.MustParseAddrPort(gate.from), func([]byte) { answers.Add(1) })
			synctest.Wait()
		}
		start := time.Now()
		stop()
		synctest.Wait()
		if answers.Load() != 1 {
			t.Errorf("%d answers", answers.Load())
		}
		w.work.Wait()
		if took := time.Since(start); answers.Load() != 2 || took != 2*time.Second || len(w.kept) != 1 {
			t.Errorf("%d answers after %v", answers.Load(), took)
		}
	})
}

// TestBounds: beyond what is decided at once, packets are dropped; and no more requests are remembered than promised.
func TestBounds(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.slow.Store(int64(time.Second))
		for i := range mostUnderWay + 5 {
			d := device{fmt.Sprintf("192.0.2.1:%d", 1000+i), newShared}
			w.receive(t.Context(), &w.work, d.request(t, "ada", "1"), netip.MustParseAddrPort(d.from), func([]byte) {})
		}
		if n := w.Dropped()[string(DropBusy)]; n != 5 {
			t.Errorf("%d dropped", n)
		}
		w.work.Wait()
		var s seen
		for i := range 3 * mostSeen {
			key := asked{identifier: byte(i), authenticator: [16]byte{byte(i >> 8), byte(i >> 16)}}
			s.begin(key, time.Now())
			s.end(key, []byte{1})
		}
		if len(s.all) != mostSeen || len(s.order) != mostSeen {
			t.Errorf("%d requests, %d arrivals", len(s.all), len(s.order))
		}
	})
}

// TestSplitDevice: the code is cut off by the rules of the narrower network.
func TestSplitDevice(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.ask("password and code", narrow, narrow.request(t, "ada", "whatever"+rightCode), rad.CodeAccessAccept)
		w.ask("no code", narrow, narrow.request(t, "ada", "whatever"), rad.CodeAccessReject)
		if len(w.asked) != 1 || w.asked[0].Text != rightCode || w.told[1].Reason != validate.ReasonMalformed {
			t.Errorf("%+v, %+v", w.asked, w.told)
		}
	})
}
