package sqlstore

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// guessVariable makes the test binary a process that tries PINs: its value is the store's directory.
const guessVariable = "TOKENDESK_TEST_GUESS"

// guessChild answers each line "value pin" with the state that ShowLink led to, each from a goroutine of its own.
func guessChild(dir string, in io.Reader, out io.Writer) error {
	s, err := Open(context.Background(), dir, loadKeys(dir), options())
	if err != nil {
		return err
	}
	defer s.Close()
	d := &desk.Desk{Store: s, Now: time.Now, Rand: rand.Reader}
	fmt.Fprintln(out, "ready")
	var mu sync.Mutex
	var wg sync.WaitGroup
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		value, pin, _ := strings.Cut(lines.Text(), " ")
		wg.Go(func() {
			state, rec, err := d.ShowLink(context.Background(), value, pin)
			rec.Destroy()
			if err != nil {
				state = "error"
			}
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintln(out, state)
		})
	}
	wg.Wait()
	return lines.Err()
}

func startGuesser(t *testing.T, p place) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), guessVariable+"="+p.dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd, in, bufio.NewScanner(out)}
	if !c.out.Scan() || c.out.Text() != "ready" {
		t.Fatalf("the process did not start: %q, %v", c.out.Text(), c.out.Err())
	}
	return c
}

// TestGuessesOfAllProcesses: 32 goroutines in each of 4 processes try wrong PINs of the same links; nobody gets a sixth try of any,
// and each of the five was counted.
func TestGuessesOfAllProcesses(t *testing.T) {
	t.Parallel()
	const processes, callers, links = 4, 32, 5
	s, p := makeStore(t)
	d := &desk.Desk{Store: s, Now: time.Now, Rand: rand.Reader}
	if err := d.AddPerson(t.Context(), token.Person{Account: "ada"}); err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for range links {
		l, err := d.Enroll(t.Context(), "ada", desk.App{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		wrong := "ZZZZZZ"
		if string(l.PIN.Reveal()) == wrong {
			wrong = "YYYYYY"
		}
		for range callers {
			fmt.Fprintf(&lines, "%s %s\n", l.Value.Reveal(), wrong)
		}
	}
	var guessers []*child
	for range processes {
		guessers = append(guessers, startGuesser(t, p))
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	got := map[desk.LinkState]int{}
	for _, c := range guessers {
		wg.Go(func() {
			if _, err := io.WriteString(c.in, lines.String()); err != nil {
				t.Error(err)
			}
			if err := c.in.Close(); err != nil {
				t.Error(err)
			}
			for c.out.Scan() {
				mu.Lock()
				got[desk.LinkState(c.out.Text())]++
				mu.Unlock()
			}
			if err := c.cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wrong := links * (desk.PINTries - 1) // the fifth locks
	if got[desk.LinkWrongPIN] != wrong || got[desk.LinkLocked] != processes*callers*links-wrong {
		t.Errorf("%v", got)
	}
	list, err := d.Links(t.Context(), "ada")
	if err != nil || len(list) != links {
		t.Fatalf("%d links, %v", len(list), err)
	}
	for _, l := range list {
		if l.State != desk.LinkLocked || l.TriesLeft != 0 {
			t.Errorf("link %d: %s, %d tries", l.ID, l.State, l.TriesLeft)
		}
	}
	verifyAudit(t, s)
}
