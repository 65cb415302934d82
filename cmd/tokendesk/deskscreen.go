package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/tokendesk/tokendesk/provision/appointment"
	"github.com/tokendesk/tokendesk/provision/desk"
)

// typingPause ends a burst of keys: a key that is not held types a character each 20 to 160 ms (reference yubikey-otp.md §4.5), so a
// command of one key counts when nothing follows it for this long.
const typingPause = 170 * time.Millisecond

// scannerPause is at most between two characters of a scanner, and hardly ever of a person.
const scannerPause = 35 * time.Millisecond

// stateMsg is the state to be drawn.
type stateMsg struct{ appointment.State }

// quietMsg says that nothing was typed since the n-th key.
type quietMsg struct{ n int }

// deskScreen is the full screen. It owns what is being typed; all else comes from the loop.
type deskScreen struct {
	state         appointment.State
	look          deskLook
	post          func(any)
	now           func() time.Time
	pause         time.Duration // typingPause outside tests
	width, height int

	field []rune // H-1
	burst []rune // otherwise
	typed int    // keys so far
	last  time.Time
	quick bool // every character of field came as from a scanner
}

// Init implements tea.Model.
func (m deskScreen) Init() tea.Cmd { return nil }

// Update implements tea.Model.
func (m deskScreen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case stateMsg:
		if m.state.Number != msg.Number || m.state.Person == nil && msg.Person != nil || m.state.Wants() != msg.Wants() && msg.Wants() == appointment.WantWitness {
			m.field = nil
		}
		m.state = msg.State
		if m.state.Over {
			return m, tea.Quit
		}
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case quietMsg:
		if msg.n == m.typed {
			return m.quiet(), nil
		}
	case tea.KeyMsg:
		return m.key(msg)
	}
	return m, nil
}

// View implements tea.Model.
func (m deskScreen) View() string { return m.look.view(m) }

func (m deskScreen) searching() bool { return m.state.Wants() == appointment.WantPerson }

// lining: what is typed is a line, which Enter ends.
func (m deskScreen) lining() bool { return m.searching() || m.state.Wants() == appointment.WantWitness }

func (m deskScreen) key(k tea.KeyMsg) (tea.Model, tea.Cmd) {
	switch k.Type {
	case tea.KeyCtrlC:
		m.post(appointment.Quit{})
	case tea.KeyEsc:
		m.field, m.burst = nil, nil
		m.post(appointment.Escaped{})
	case tea.KeyUp:
		m.post(appointment.Move{By: -1})
	case tea.KeyDown:
		m.post(appointment.Move{By: 1})
	case tea.KeyEnter:
		return m.enter(), nil
	case tea.KeyBackspace:
		if n := len(m.field); n > 0 {
			m.field = m.field[:n-1]
			m.look4()
		}
	case tea.KeyCtrlU:
		m.field = nil
		m.look4()
	case tea.KeyRunes, tea.KeySpace:
		return m.characters([]rune(printable(string(k.Runes)))) // what is pasted may hold anything
	}
	return m, nil
}

// characters takes what was typed, by a person, a scanner, or a key that nobody holds.
func (m deskScreen) characters(runes []rune) (tea.Model, tea.Cmd) {
	now := m.now()
	m.quick = len(m.field) == 0 || m.quick && now.Sub(m.last) <= scannerPause
	m.last = now
	m.typed++
	if m.lining() {
		m.field = append(append([]rune{}, m.field...), runes...)
		if len(m.field) > maxField {
			m.field = m.field[len(m.field)-maxField:]
		}
		m.look4()
		return m, nil
	}
	m.burst = append(append([]rune{}, m.burst...), runes...)
	if len(m.burst) > maxField {
		m.burst = m.burst[len(m.burst)-maxField:]
	}
	n := m.typed
	return m, tea.Tick(m.pause, func(time.Time) tea.Msg { return quietMsg{n} })
}

// maxField is how much of what is typed is kept.
const maxField = 200

// shownOTP is from how many characters on text in the search field is kept from the search if it may be a one-time password.
const shownOTP = 16

// look4 searches for what the field holds, unless a key is typing into it.
func (m deskScreen) look4() {
	if !m.searching() {
		return
	}
	if text := string(m.field); len(text) < shownOTP || strings.Trim(text, "cbdefghijklnrtuv") != "" {
		m.post(appointment.Typed{Text: text})
	}
}

// enter ends a line: of a person, a scanner, or a key.
func (m deskScreen) enter() deskScreen {
	text := string(m.field)
	if !m.lining() {
		text = string(m.burst)
	}
	burst := m.burst
	m.burst, m.typed = nil, m.typed+1
	switch otp := lastOTP(text); {
	case otp != "":
		m.field = nil
		m.post(appointment.Typed{})
		m.post(appointment.Touched{OTP: otp})
	case m.searching():
		if e := m.look.scan(text, m.quick && len(text) > 2); e.Text != text || e.Whole {
			m.field = nil
			m.post(e)
			break
		}
		m.post(appointment.Submit{Text: text})
	case m.lining():
		m.field = nil
		m.post(appointment.Witnessed{Name: text})
	case len(burst) == 0:
		m.post(appointment.Submit{})
	}
	return m
}

// lastOTP is the one-time password that typed text ends with; "" none.
func lastOTP(text string) string {
	words := strings.Fields(text)
	if len(words) == 0 {
		return ""
	}
	if last := words[len(words)-1]; isOTP(last) {
		return last
	}
	return ""
}

// quiet takes a key that stood alone for a command; more at once were no person's.
func (m deskScreen) quiet() deskScreen {
	burst := string(m.burst)
	if otp := lastOTP(burst); otp != "" { // a key that types no Enter
		m.post(appointment.Touched{OTP: otp})
	} else if len(burst) == 1 {
		m.command(burst)
	}
	m.burst = nil
	return m
}

func (m deskScreen) command(key string) {
	var e appointment.Event
	switch m.state.Wants() {
	case appointment.WantCheck:
		e = checkOf(key)
	case appointment.WantUse:
		e = m.use(strings.ToLower(key))
	case appointment.WantGrave, appointment.WantAnew:
		if e = agreedOf(key); strings.EqualFold(key, "f") {
			e = appointment.Finished{} // which counts where something is lacking
		}
	case appointment.WantKey:
		if strings.EqualFold(key, "g") {
			e = appointment.GaveUp{}
		}
	}
	if e != nil {
		m.post(e)
	}
}

// use is S, R where there is one key to replace, or the number of one.
func (m deskScreen) use(key string) appointment.Event {
	if key >= "1" && key <= "9" {
		return useOf(m.state, "replace", key)
	}
	return useOf(m.state, key, "")
}

// screenFront hands states to a program, the newest one when it has time: a program that posts what is typed may itself wait for the loop.
type screenFront struct{ newest chan appointment.State }

func newScreenFront() screenFront { return screenFront{make(chan appointment.State, 1)} }

// show implements deskFront.
func (f screenFront) show(s appointment.State, _ []appointment.Record) {
	select {
	case <-f.newest: // nobody saw it
	default:
	}
	f.newest <- s
}

// hand sends states until stop is closed.
func (f screenFront) hand(send func(tea.Msg), stop <-chan struct{}) {
	for {
		select {
		case s := <-f.newest:
			send(stateMsg{s})
		case <-stop:
			return
		}
	}
}

// next implements deskFront: the screen posts what the operator does.
func (f screenFront) next(appointment.State) appointment.Event { return nil }

// runScreen runs the loop under a full screen.
func (a *app) runScreen(ctx context.Context, l *deskLoop, look deskLook, open int) error {
	m := deskScreen{state: l.state, look: look, post: l.post, now: a.now, pause: typingPause, width: 80, height: 24}
	if a.typingPause > 0 {
		m.pause = a.typingPause
	}
	p := tea.NewProgram(m, tea.WithInput(a.stdin), tea.WithOutput(a.stdout), tea.WithAltScreen(), tea.WithoutSignalHandler())
	f, over := newScreenFront(), make(chan struct{})
	l.front = f
	go f.hand(p.Send, over)
	drawn := make(chan error, 1)
	go func() {
		_, err := p.Run()
		drawn <- err
		l.post(appointment.Quit{}) // also when the terminal went away
	}()
	defer func() { // a defect must not leave the terminal as the screen had it
		if broken := recover(); broken != nil {
			p.Kill()
			<-drawn
			panic(broken)
		}
	}()
	l.run(ctx, open)
	close(over)
	p.Quit()
	err := <-drawn
	a.hush()() // what a key typed must not reach the shell
	if errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

var _ tea.Model = deskScreen{}

// checkKeys are the identity checks with the keys that say them.
func checkKeys() string {
	var parts []string
	for i, c := range desk.IDChecks() {
		parts = append(parts, string(rune('1'+i))+" "+appointment.CheckName(c))
	}
	return strings.Join(parts, "  ")
}
