package main

import (
	"context"
	"errors"
	"fmt"
	weak "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// pamService is a PAM service in a folder that libpam_wrapper takes for /etc/pam.d. One logs in at a time: what two modules write to a
// file at once gets lost.
type pamService struct {
	dir string
	one sync.Mutex
}

// newPAMService makes one of a line, and writes the module's file.
func newPAMService(t *testing.T, line, file, text string) *pamService {
	t.Helper()
	p := &pamService{dir: filepath.Join(t.TempDir(), "pam.d")}
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{filepath.Join(p.dir, "desk"): line + "\n", filepath.Join(p.dir, "other"): line + "\n", file: text} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// pamOath is a service of Debian's pam_oath, and its file of users.
type pamOath struct {
	*pamService
	users string
}

func newPAMOath(t *testing.T, digits, window int, lines []string) *pamOath {
	t.Helper()
	users := filepath.Join(t.TempDir(), "users.oath")
	line := fmt.Sprintf("auth required pam_oath.so usersfile=%s digits=%d window=%d", users, digits, window)
	return &pamOath{newPAMService(t, line, users, strings.Join(lines, "")), users}
}

// login types a code at the prompt of the service, and reports whether PAM lets the account in.
func (p *pamService) login(ctx context.Context, account, code string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	p.one.Lock()
	defer p.one.Unlock()
	// libpam_wrapper makes a folder in /tmp whose name others may choose in the same moment: flock lets one do so at a time.
	c := exec.CommandContext(ctx, "flock", filepath.Join(os.TempDir(), "tokendesk-pam.lock"), "env", "LD_PRELOAD=libpam_wrapper.so", "PAM_WRAPPER=1",
		"PAM_WRAPPER_SERVICE_DIR="+p.dir, "pamtester", "desk", account, "authenticate")
	c.Stdin = strings.NewReader(code + "\n")
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil && strings.Contains(string(out), "successfully authenticated"):
		return true, nil
	case errors.As(err, &exit) && strings.Contains(string(out), "Authentication failure"):
		return false, nil
	}
	return false, fmt.Errorf("pamtester: %w: %s", err, out)
}

// pamJury has pam_oath and two server processes decide about the same codes of the same tokens.
type pamJury struct {
	*rig
	desk    *desk.Desk
	client  []*factorClient // several, as each may send 1,000 wrong codes an hour
	servers []*server
	pace    *pacer
	asked   atomic.Int64
	let     atomic.Int64 // in
	late    atomic.Int64 // tokens whose step ended while they were asked about
}

// jurors is how many tokens are asked about at once.
const jurors = 4

// juryTokens draws tokens, writes pam_oath's file of users, registers the users and imports that very file.
func (j *pamJury) juryTokens(t *testing.T, name string, n, digits, window int, kinds ...string) (*pamOath, []seeded) {
	t.Helper()
	var lines []string
	var list []seeded
	persons := []string{"account\n"}
	for i := range n {
		kind := kinds[i%len(kinds)]
		k := randomToken(fmt.Sprintf("%s%04d", name, i), token.HOTP, digits)
		line := fmt.Sprintf("HOTP/%s/%d\t%s\t-\t%s", kind, digits, k.serial, k.seed)
		switch kind {
		case "E":
			line += "\t0"
		default:
			k.kind = token.TOTP
			_, err := fmt.Sscanf(kind, "T%d", &k.period)
			if k.period *= time.Second; err != nil {
				t.Fatal(err)
			}
		}
		lines, list, persons = append(lines, line+"\n"), append(list, k), append(persons, k.serial+"\n")
	}
	p := newPAMOath(t, digits, window, lines)
	csv := filepath.Join(t.TempDir(), "persons.csv")
	if err := os.WriteFile(csv, []byte(strings.Join(persons, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	j.must("person", "import", csv)
	j.must("keyfile", "import", p.users)
	return p, list
}

func newPAMJury(t *testing.T) *pamJury {
	t.Helper()
	needJudges(t, "flock", "pamtester", "libpam_wrapper.so", "oathtool", "pam_oath.so")
	j := &pamJury{rig: newRig(t, 2)}
	j.must("init")
	for i := range 4 {
		j.client = append(j.client, j.factorClient(fmt.Sprint("client", i)))
	}
	j.servers = []*server{j.serve("--limit", "0"), j.serve("--limit", "0")}
	a := &app{env: &j.env, store: j.dataDir}
	j.desk = a.desk(j.open())
	return j
}

// both has a code decided by pam_oath and by one of the servers, and wants both to say the same, and that. Of a TOTP token, whose step
// may have ended between the two, end is when it does; otherwise it is zero.
func (j *pamJury) both(t *testing.T, p *pamOath, n int, what string, k seeded, code string, want bool, end time.Time) {
	there, err := p.login(t.Context(), k.serial, code)
	if err != nil {
		t.Error(err)
	}
	d, err := j.client[n%len(j.client)].verify(t.Context(), j.servers[int(j.asked.Add(1))%len(j.servers)], k.serial, code)
	if err != nil {
		t.Error(err)
	}
	if !end.IsZero() && !time.Now().Before(end) {
		return
	}
	if there != want || d.accepted() != want {
		t.Errorf("%s: %s: pam_oath lets in: %v; the server: %v; want %v", k.serial, what, there, d.accepted(), want)
	}
	if want {
		j.let.Add(1)
	}
}

// issue hands the token to its user with a code, which pam_oath takes for a log-in.
func (j *pamJury) issue(t *testing.T, p *pamOath, k seeded, code string) {
	if ok, err := p.login(t.Context(), k.serial, code); err != nil || !ok {
		t.Errorf("%s: the first code: pam_oath lets in: %v, %v", k.serial, ok, err)
	}
	if _, proof, err := j.desk.Issue(t.Context(), k.serial, desk.Issue{To: k.serial, IDCheck: desk.ByAcquaintance, Codes: []string{code}}); err != nil || proof != desk.Proven {
		t.Errorf("%s: issue: %s, %v", k.serial, proof, err)
	}
}

// each asks about every token, some at once.
func (j *pamJury) each(list []seeded, ask func(n int, k seeded)) {
	next := make(chan int)
	var work sync.WaitGroup
	for range jurors {
		work.Go(func() {
			for n := range next {
				ask(n, list[n])
			}
		})
	}
	for n := range list {
		next <- n
	}
	close(next)
	work.Wait()
}

func (j *pamJury) finish(t *testing.T, tokens int, start time.Time) {
	t.Helper()
	t.Logf("%d tokens, %d codes, %d let in, %d tokens at the end of a step, %v", tokens, j.asked.Load(), j.let.Load(), j.late.Load(), time.Since(start).Round(time.Millisecond))
	for _, c := range j.client {
		c.http.CloseIdleConnections()
	}
	for _, s := range j.servers {
		if log, code := s.stop(t, syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d\n%s", code, log)
		}
	}
	j.must("audit", "verify")
}

// juryShare is how many tokens there are of each of four sorts.
func juryShare() int {
	if testing.Short() {
		return 20
	}
	return 250
}

// TestPamOathAgreesOnHOTP: what pam_oath lets in with window=11, the servers accept, and the other way round: for 500 random tokens
// of six and eight digits, each asked five random questions.
func TestPamOathAgreesOnHOTP(t *testing.T) {
	t.Parallel()
	j := newPAMJury(t)
	j.pace = &pacer{r: j.rig, from: time.Now()}
	j.pace.next()
	start := time.Now()
	for _, digits := range []int{6, 8} {
		p, list := j.juryTokens(t, fmt.Sprint("hotp", digits, "."), juryShare(), digits, 11, "E")
		j.each(list, func(n int, k seeded) {
			codes := k.counted(t, 0, 200)
			if repeated(codes) {
				return
			}
			j.issue(t, p, k, codes[0])
			next := 1
			for range 5 {
				what, code, ahead := question(k, codes, next)
				j.both(t, p, n, what, k, code, ahead >= 0, time.Time{})
				next += ahead + 1
				for range 3 { // the delays of five failures are over
					j.pace.next()
				}
			}
		})
	}
	j.finish(t, 2*juryShare(), start)
}

// question is a random one: a code, and how far ahead of the next one it is; -1 if it is to be refused.
func question(k seeded, codes []string, next int) (what, code string, ahead int) {
	switch far := weak.IntN(20); weak.IntN(6) {
	case 0:
		return "next", codes[next], 0
	case 1:
		far %= 11
		return fmt.Sprint(far, " ahead"), codes[next+far], far
	case 2:
		return "again", codes[next-1], -1
	case 3:
		return "older", codes[max(0, next-2-far)], -1
	case 4:
		return "too far ahead", codes[next+11+far], -1
	}
	return "wrong", k.wrong(codes, weak.IntN(1000000)), -1
}

// repeated reports whether a code comes twice, of six digits by chance: which of the two was meant, pam_oath and the servers see
// differently, and one that is to be refused would be right.
func repeated(codes []string) bool {
	return len(slices.Compact(slices.Sorted(slices.Values(codes)))) < len(codes)
}

// TestPamOathAgreesOnTOTP: what pam_oath lets in with window=1, the servers accept, and the other way round: for 500 random tokens of
// six and eight digits, of 30 and of 60 seconds, at the present time.
func TestPamOathAgreesOnTOTP(t *testing.T) {
	t.Parallel()
	j := newPAMJury(t)
	start := time.Now()
	for _, digits := range []int{6, 8} {
		for round, left := 0, int64(juryShare()); left > 0 && !t.Failed(); round++ { // in the place of those whose step ended there are others
			before := j.late.Load()
			p, list := j.juryTokens(t, fmt.Sprint("totp", digits, ".", round, "."), int(left), digits, 1, "T30", "T60")
			j.each(list, func(n int, k seeded) { j.timely(t, p, n, k) })
			left = j.late.Load() - before
		}
	}
	j.finish(t, 2*juryShare(), start)
}

// timely asks about a TOTP token while one step lasts.
func (j *pamJury) timely(t *testing.T, p *pamOath, n int, k seeded) {
	const enough = 3 * time.Second // for all questions about a token
	if left := k.period - time.Duration(time.Now().UnixNano())%k.period; left < enough {
		<-time.After(left)
	}
	now := time.Now()
	end := now.Truncate(k.period).Add(k.period) // both count from a full minute
	codes := k.timed(t, now.Add(-3*k.period), 8)
	if repeated(codes) {
		return
	}
	at := func(step int) string { return codes[3+step] }
	asked := []func(){
		func() { j.both(t, p, n, "again", k, at(0), false, end) },
		func() { j.both(t, p, n, "one step ahead", k, at(1), true, end) },
		func() { j.both(t, p, n, "again, ahead", k, at(1), false, end) },
		func() { j.both(t, p, n, "older", k, at(0), false, end) },
		func() { j.both(t, p, n, "two steps ahead", k, at(2), false, end) },
	}
	switch n % 4 { // what is refused delays the next code: it comes last
	case 1:
		asked = []func(){asked[1], func() { j.both(t, p, n, "wrong", k, k.wrong(codes, n), false, end) }}
	case 2:
		asked = []func(){asked[0], func() { j.both(t, p, n, "three steps back", k, at(-3), false, end) }}
	case 3:
		asked = asked[4:]
	}
	j.issue(t, p, k, at(0))
	for _, ask := range asked {
		if !time.Now().Before(end) {
			j.late.Add(1)
			return
		}
		ask()
	}
}
