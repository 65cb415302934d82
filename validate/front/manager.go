package front

import (
	"net"
	"strconv"
	"time"
)

// What a service manager is told. Source: sd_notify(3).
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	Alive    = "WATCHDOG=1"
)

// Manager is the service manager, as far as it wants to hear. The zero value is none. Source: sd_notify(3), sd_watchdog_enabled(3).
type Manager struct {
	// Watchdog is how long it waits for Alive before it takes the process for hung; 0: it does not.
	Watchdog time.Duration

	address string
}

// FindManager reads the environment.
func FindManager(getenv func(string) string, pid int) Manager {
	m := Manager{address: getenv("NOTIFY_SOCKET")}
	us, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if p := getenv("WATCHDOG_PID"); err == nil && us > 0 && (p == "" || p == strconv.Itoa(pid)) {
		m.Watchdog = time.Duration(us) * time.Microsecond
	}
	return m
}

// tellTime is how long a manager that reads nothing any more delays whoever tells it something, such as a stop.
const tellTime = 2 * time.Second

// Tell sends a state; nothing if nobody listens.
func (m Manager) Tell(state string) error { return m.tell(state, tellTime) }

func (m Manager) tell(state string, patience time.Duration) error {
	if m.address == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.address, Net: "unixgram"})
	if err != nil {
		return err
	}
	if err = c.SetWriteDeadline(time.Now().Add(patience)); err == nil {
		_, err = c.Write([]byte(state))
	}
	if closed := c.Close(); err == nil {
		err = closed
	}
	return err
}
