package validate_test

import (
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// TestEveryLayoutIsAccepted types a hundred OTPs on every layout that can be read back, with every level: the Verifier accepts
// each and the right layout is among the named ones. Without Layouts it is refused unless it is ModHex or US Dvorak.
func TestEveryLayoutIsAccepted(t *testing.T) {
	t.Parallel()
	d := newDesk(t, token.Active)
	strict := validate.New(validate.ReadOnly(d.store), func() time.Time { return now })
	d.v.Layouts = true
	cipher, err := yubiotp.NewCipher(secret.Copy(d.c.Key[:]), secret.Copy(d.c.PrivateID[:]))
	if err != nil {
		t.Fatal(err)
	}
	presses, layouts, each := 0, 0, share(100)
	for _, l := range modhex.Layouts() {
		typed, ok := l.Type(modhex.Alphabet)
		if len(modhex.Unclear(typed)) > 0 || !ok {
			continue
		}
		layouts++
		for range each {
			presses++
			otp := yubiotp.Token{UseCounter: uint16(presses / 256), SessionCounter: uint8(presses), Random: uint16(presses * 40503)}
			want := cipher.Seal(otp)
			typed, _ := l.Type(yubiotp.Join(d.c.PublicID.Bytes(), want))
			all := validate.LayoutReadings(typed)
			i := slices.IndexFunc(all, func(r validate.Reading) bool { return r.Block == want && r.PublicID == d.c.PublicID })
			if i < 0 || all[i].Layouts != nil && !slices.Contains(all[i].Layouts, l) {
				t.Fatalf("%s: reading %d of %d", l, i, len(all))
			}
			if r := verifyQuiet(t, strict, typed); r.Outcome == validate.Accepted && all[i].Layouts != nil && !all[i].Dvorak {
				t.Fatalf("%s: accepted although layouts are not", l)
			}
			if presses < yubiotp.MaxUseCounter<<8 {
				if r := verifyQuiet(t, d.v, typed); r.Outcome != validate.Accepted || (r.Marks.Layout == "") != (all[i].Layouts == nil) {
					t.Fatalf("%s: %s %s, %q", l, r.Outcome, r.Reason, r.Marks.Layout)
				}
			}
		}
	}
	t.Logf("%d layouts with levels, %d OTPs", layouts, presses)
}

func verifyQuiet(t *testing.T, v *validate.Verifier, typed string) validate.Result {
	r, err := v.Verify(t.Context(), validate.Request{OTP: typed})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// share is how many of n are done: a fiftieth in a short run, and a tenth under the race detector, which makes all of it ten times slower.
func share(n int) int {
	if testing.Short() {
		return max(1, n/50)
	}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return n / 10
	}
	return n
}

// randomTexts is how many texts TestRandomTextsAreRefused tries.
const randomTexts = 10_000_000

// TestRandomTextsAreRefused: ten million texts of 44 characters, and none is accepted: a third with a credential's public ID and random
// letters typed on some layout, a third random letters of one alphabet, a third of several.
func TestRandomTextsAreRefused(t *testing.T) {
	t.Parallel()
	n := share(randomTexts)
	d := newDesk(t, token.Active)
	d.v.Layouts = true
	credentials := []token.PublicID{d.c.PublicID}
	for i := range 4 {
		c := d.c
		c.PublicID = token.SerialPublicID(token.Serial(1000 + i))
		c.Key[0] = byte(i)
		add(t, d.store, c)
		credentials = append(credentials, c.PublicID)
	}
	alphabets := plainAlphabets()
	workers := runtime.GOMAXPROCS(0)
	var read, known, accepted atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(w)))
			var text strings.Builder
			for i := range n / workers {
				text.Reset()
				a := alphabets[random.IntN(len(alphabets))]
				switch i % 3 {
				case 0:
					for _, c := range credentials[random.IntN(len(credentials))].String() {
						text.WriteRune(a[strings.IndexRune(modhex.Alphabet, c)])
					}
					fill(&text, random, a, 32)
				case 1:
					fill(&text, random, a, 44)
				default:
					fill(&text, random, a, 22)
					fill(&text, random, alphabets[random.IntN(len(alphabets))], 22)
				}
				r, err := d.v.Verify(t.Context(), validate.Request{OTP: text.String()})
				switch {
				case err != nil || r.Outcome == validate.Accepted || r.Opened:
					accepted.Add(1)
				case r.Credential != 0:
					known.Add(1)
					fallthrough
				case r.Reason != validate.ReasonMalformed:
					read.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if accepted.Load() != 0 || known.Load() < int64(n/4) {
		t.Errorf("%d accepted; %d decrypted with a key", accepted.Load(), known.Load())
	}
	t.Logf("%d texts, %d read as OTPs, %d decrypted with a key", n, read.Load(), known.Load())
}

// plainAlphabets are those of the layouts without a modifier.
func plainAlphabets() [][]rune {
	var out [][]rune
	seen := map[string]bool{}
	for _, l := range modhex.Layouts() {
		typed, ok := l.Type(modhex.Alphabet)
		if ok && !seen[typed] && l.Level == modhex.Plain && len(modhex.Unclear(typed)) == 0 {
			seen[typed] = true
			out = append(out, []rune(typed))
		}
	}
	return out
}

func fill(text *strings.Builder, random *rand.Rand, alphabet []rune, n int) {
	bits := random.Uint64()
	for i := range n {
		if i%16 == 0 {
			bits = random.Uint64()
		}
		text.WriteRune(alphabet[bits&15])
		bits >>= 4
	}
}
