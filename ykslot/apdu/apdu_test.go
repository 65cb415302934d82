package apdu

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMarshal(t *testing.T) {
	t.Parallel()
	data := func(n int) []byte { return bytes.Repeat([]byte{0xAB}, n) }
	for _, test := range []struct {
		name string
		cmd  Command
		want string // "…" stands for the data
	}{
		{"nothing", Command{Instruction: 3}, "00030000"},
		{"answer", Command{Instruction: 3, Expect: 6}, "0003000006"},
		{"any answer", Command{Instruction: 3, Expect: Any}, "0003000000"},
		{"data", Command{0, 0xA4, 4, 0, data(5), 0}, "00A4040005…"},
		{"longest short", Command{0x10, 1, 2, 3, data(255), 256}, "10010203FF…00"},
		{"extended data", Command{0, 1, 2, 3, data(256), 0}, "00010203000100…"},
		{"extended data and answer", Command{0, 1, 2, 3, data(256), 256}, "00010203000100…0100"},
		{"extended answer", Command{0, 1, 2, 3, nil, 257}, "00010203000101"},
		{"the longest", Command{0, 1, 2, 3, data(65535), 65536}, "0001020300FFFF…0000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := test.cmd.AppendMarshal(nil)
			want := unhex(t, strings.Replace(test.want, "…", hex.EncodeToString(test.cmd.Data), 1))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%x, %v; want %x", got, err, want)
			}
		})
	}
	for _, c := range []Command{{Data: data(65536)}, {Expect: 65537}, {Expect: -1}} {
		if _, err := c.AppendMarshal(nil); err == nil {
			t.Errorf("%d bytes of data, %d expected: no error", len(c.Data), c.Expect)
		}
	}
}

// script is a card with prepared answers, that fails the test if it is asked for something else.
type script struct {
	t     *testing.T
	steps [][2]string
}

func (s *script) Transmit(_ context.Context, command []byte) ([]byte, error) {
	s.t.Helper()
	if len(s.steps) == 0 {
		s.t.Fatalf("asked %x after the last answer", command)
	}
	step := s.steps[0]
	s.steps = s.steps[1:]
	if want := unhex(s.t, step[0]); !bytes.Equal(command, want) {
		s.t.Fatalf("asked %x, want %x", command, want)
	}
	return unhex(s.t, step[1]), nil
}

func TestSend(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("5a", 255)
	for _, test := range []struct {
		name  string
		ch    Channel
		cmd   Command
		steps [][2]string
		want  string
		sw    Status
	}{
		{"one answer", Channel{}, Command{Instruction: 3, Expect: 6}, [][2]string{{"0003000006", "0504030500079000"}}, "050403050007", OK},
		{"an answer in parts", Channel{}, Command{Instruction: 1, Expect: Any}, [][2]string{
			{"0001000000", "0102 6102"}, {"00C0000002", "0304 6100"}, {"00C0000000", "05 9000"}}, "0102030405", OK},
		{"parts by the applet's own instruction", Channel{Remaining: 0xA5}, Command{Instruction: 0xA1, Expect: Any}, [][2]string{
			{"00A1000000", "01 61FF"}, {"00A50000FF", "02 9000"}}, "0102", OK},
		{"asked for too much", Channel{}, Command{Instruction: 1, Expect: Any}, [][2]string{{"0001000000", "6C04"}, {"0001000004", "01020304 9000"}}, "01020304", OK},
		{"a command in parts", Channel{}, Command{Instruction: 0xDB, Data: unhex(t, long+long+"77"), Expect: Any}, [][2]string{
			{"10DB0000FF" + long, "9000"}, {"10DB0000FF" + long, "9000"}, {"00DB0000017700", "9000"}}, "", OK},
		{"refused after the first part", Channel{}, Command{Instruction: 0xDB, Data: unhex(t, long+"77")}, [][2]string{{"10DB0000FF" + long, "6982"}}, "", SecurityNotSatisfied},
		{"extended", Channel{Extended: true}, Command{Instruction: 0xDB, Data: unhex(t, long+"77"), Expect: 65536}, [][2]string{
			{"00DB0000000100" + long + "77" + "0000", "9000"}}, "", OK},
		{"an error", Channel{}, Command{Instruction: 1, P1: 0x14}, [][2]string{{"00011400", "6B00"}}, "", WrongP1P2},
		{"a warning with data", Channel{}, Command{Instruction: 1}, [][2]string{{"00010000", "0102 6200"}}, "0102", 0x6200},
		{"an error in the last part", Channel{}, Command{Instruction: 1}, [][2]string{{"00010000", "01 6101"}, {"00C0000001", "6F00"}}, "01", 0x6F00},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			card := &script{t, test.steps}
			test.ch.Card = card
			got, err := test.ch.Send(t.Context(), test.cmd)
			var sw Status = OK
			if err != nil && !errors.As(err, &sw) {
				t.Fatal(err)
			}
			if sw != test.sw || !bytes.Equal(got, unhex(t, test.want)) || len(card.steps) > 0 {
				t.Errorf("%x, %v with %d steps left; want %s, %v", got, sw, len(card.steps), test.want, test.sw)
			}
		})
	}
}

func TestSelect(t *testing.T) {
	t.Parallel()
	ch := Channel{Card: &script{t, [][2]string{{"00A4040007 A0000005272001", "6A82"}}}, Remaining: 0xA5}
	if _, err := ch.Select(t.Context(), unhex(t, "A0000005272001")); !errors.Is(err, NotFound) {
		t.Errorf("%v, want NotFound", err)
	}
}

// TestEndless: a card that always has more, with and without data, and one that always wants another length.
func TestEndless(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"6100", "016101", strings.Repeat("00", 256) + "6100"} {
		asked := 0
		ch := Channel{Card: TransmitFunc(func(context.Context, []byte) ([]byte, error) { asked++; return unhex(t, answer), nil })}
		if _, err := ch.Send(t.Context(), Command{Instruction: 1}); !errors.Is(err, ErrProtocol) {
			t.Errorf("%.8s…: %v, want ErrProtocol", answer, err)
		}
		if asked > maxParts+1 {
			t.Errorf("%.8s…: asked %d times", answer, asked)
		}
	}
	ch := Channel{Card: TransmitFunc(func(context.Context, []byte) ([]byte, error) { return []byte{0x6C, 0x01}, nil })}
	if _, err := ch.Send(t.Context(), Command{Instruction: 1}); !errors.Is(err, Status(0x6C01)) {
		t.Errorf("%v, want 6c01", err)
	}
}

func TestSendStopsByContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	ch := Channel{Card: TransmitFunc(func(context.Context, []byte) ([]byte, error) { asked++; cancel(); return []byte{1, 0x61, 0}, nil })}
	if _, err := ch.Send(ctx, Command{Instruction: 1}); !errors.Is(err, context.Canceled) || asked != 1 {
		t.Errorf("%v after %d, want Canceled after 1", err, asked)
	}
}

// TestSendClears: commands carry secrets, so the bytes that were sent do not stay.
func TestSendClears(t *testing.T) {
	t.Parallel()
	var sent []byte
	ch := Channel{Card: TransmitFunc(func(_ context.Context, c []byte) ([]byte, error) { sent = c; return []byte{0x90, 0}, nil })}
	if _, err := ch.Send(t.Context(), Command{Instruction: 1, Data: []byte("secret")}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sent, make([]byte, len(sent))) {
		t.Errorf("left behind: %x", sent)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	if n, ok := Status(0x63C2).Tries(); n != 2 || !ok {
		t.Errorf("63c2: %d, %v", n, ok)
	}
	if _, ok := Status(0x6300).Tries(); ok {
		t.Error("6300 tells tries")
	}
	for sw, want := range map[Status]string{NotFound: "status 6a82: not found", 0x6283: "status 6283: warning", 0x6F00: "status 6f00"} {
		if got := sw.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	b := unhex(t, "5C01FF 7F490A 8603040506 BF0102 0102 53820003AABBCC 7E00")
	for _, test := range []struct {
		path []uint32
		want string
		ok   bool
	}{
		{[]uint32{0x5C}, "FF", true},
		{[]uint32{0x7F49, 0x86}, "040506", true},
		{[]uint32{0x53}, "AABBCC", true},
		{[]uint32{0x7E}, "", true},
		{[]uint32{0x7F49, 0x87}, "", false},
		{[]uint32{0x5D}, "", false},
	} {
		got, ok := Find(b, test.path...)
		if ok != test.ok || !bytes.Equal(got, unhex(t, test.want)) {
			t.Errorf("%x: %x, %v", test.path, got, ok)
		}
	}
	for _, bad := range []string{"5C", "5C02FF", "5C80", "5C83000001AA", "7F", "7FFFFF01", "5C8201"} {
		if got, ok := Find(append(unhex(t, bad), 0x01), 0x99); ok {
			t.Errorf("%s: %x", bad, got)
		}
		for _, err := range Items(unhex(t, bad)) {
			if !errors.Is(err, ErrProtocol) {
				t.Errorf("%s: %v, want ErrProtocol", bad, err)
			}
		}
	}
	if !(TLV{Tag: 0x7F49}).Constructed() || (TLV{Tag: 0x5C}).Constructed() {
		t.Error("Constructed looks at the wrong bit")
	}
}

// FuzzItems: whatever was read can be written again, and reads as the same.
func FuzzItems(f *testing.F) {
	for _, s := range []string{"5C01FF", "7F490A8603040506BF01020102", "5382000300AABB", "5F2F0101", "5C", "7FFFFFFF", "5C8405"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for item, err := range Items(b) {
			if err != nil {
				break
			}
			again := AppendTLV(nil, item.Tag, item.Value)
			n := 0
			for read, err := range Items(again) {
				if n++; err != nil || read.Tag != item.Tag || !bytes.Equal(read.Value, item.Value) {
					t.Fatalf("%x reads as %x %x, %v", again, read.Tag, read.Value, err)
				}
			}
			if n != 1 {
				t.Fatalf("%x is %d items", again, n)
			}
		}
	})
}

// FuzzSend: a hostile card answers from b, over and over: each answer is a length byte and that many bytes. Send ends, and
// either gives a bounded answer or an error.
func FuzzSend(f *testing.F) {
	for _, s := range []string{"029000", "0361 0000", "026C00029000", "00", "0161", "04010261FF039000AA", "026282"} {
		f.Add(unhex(f, s), uint16(3), false)
	}
	f.Add([]byte{2, 0x61, 0}, uint16(700), true)
	f.Fuzz(func(t *testing.T, b []byte, size uint16, extended bool) {
		asked, at := 0, 0
		ch := Channel{Extended: extended, Card: TransmitFunc(func(_ context.Context, c []byte) ([]byte, error) {
			if asked++; len(c) < 4 {
				t.Fatalf("sent %x", c)
			}
			if len(b) == 0 {
				return nil, nil
			}
			n := int(b[at%len(b)])
			answer := make([]byte, n)
			for i := range answer {
				answer[i] = b[(at+1+i)%len(b)]
			}
			at += n + 1
			return answer, nil
		})}
		got, err := ch.Send(t.Context(), Command{Instruction: 1, Data: make([]byte, size), Expect: Any})
		if len(got) > MaxAnswer+maxShortWant || asked > 2*(maxParts+2+int(size)/maxShortData) {
			t.Fatalf("%d bytes after %d commands, %v", len(got), asked, err)
		}
		var sw Status
		if err == nil && len(got) > MaxAnswer || errors.As(err, &sw) && sw == OK {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	})
}
