package vpcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// ErrMissing is wrapped by the error for something that is not installed; its text names the Debian package.
var ErrMissing = errors.New("not installed")

// Where Debian's packages put them.
const (
	daemonPath = "/usr/sbin/pcscd"
	driversDir = "/usr/lib/pcsc/drivers"
	driverPath = driversDir + "/serial/libifdvpcd.so"
)

// launch runs pcscd in a mount namespace of its own, where it finds no drivers of USB readers, and where what it writes
// into /run stays. The listening socket is its descriptor 3, as systemd hands it over.
const launch = `mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs ` + driversDir + ` || exit 1
export LISTEN_PID=$$ LISTEN_FDS=1 LD_PRELOAD="$1/lock.so"
exec ` + daemonPath + ` --foreground -c "$1/conf"`

// locks replaces the driver's locks: in Debian's build they do nothing, and pcscd's polling, every 0.4 s, then takes the
// answer of a command that is under way (observed with 3.3+dfsg-2). The driver calls them through its symbol table.
const locks = `#include <pthread.h>
#include <stdlib.h>
void *create_lock(void) { pthread_mutex_t *m = malloc(sizeof *m); if (m) pthread_mutex_init(m, NULL); return m; }
void free_lock(void *m) { free(m); }
int lock(void *m) { return m && !pthread_mutex_lock(m); }
void unlock(void *m) { if (m) pthread_mutex_unlock(m); }
`

// Daemon is a pcscd with virtual readers.
type Daemon struct {
	// Socket is its unix socket.
	Socket string
	// Readers are the names that PC/SC clients see for the keys, in their order.
	Readers []string

	ports  []int
	drawn  []net.Listener // see freePair
	cmd    *exec.Cmd
	ended  chan struct{}
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// attempts is how often pcscd is started anew because it, or somebody else, got no port.
const attempts = 5

// errPort: pcscd did not open its ports.
var errPort = errors.New("pcscd did not open its port")

// Start runs a private pcscd with one reader for each key. dir is an empty directory for its socket and configuration, of
// fewer than 90 characters; the caller removes it. It needs no privileges where users may make namespaces. The readers'
// cards come and go as the keys are plugged in and out; pcscd needs half a second to notice.
func Start(ctx context.Context, dir string, keys ...*vkey.Key) (*Daemon, error) {
	for path, pkg := range map[string]string{daemonPath: "pcscd", driverPath: "vsmartcard-vpcd", "cc": "gcc"} {
		if _, err := exec.LookPath(path); err != nil && !errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("%w: %s (apt-get install %s)", ErrMissing, path, pkg)
		}
	}
	for n := 0; ; n++ {
		d, err := start(ctx, filepath.Join(dir, strconv.Itoa(n)), keys)
		if err == nil {
			return d, nil
		}
		if !errors.Is(err, errPort) || n >= attempts {
			return nil, fmt.Errorf("start pcscd: %w", err)
		}
	}
}

func start(ctx context.Context, dir string, keys []*vkey.Key) (_ *Daemon, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	d := &Daemon{Socket: filepath.Join(dir, "s"), ended: make(chan struct{})}
	defer func() {
		if err != nil {
			d.giveBack()
		}
	}()
	if err := d.configure(dir, keys); err != nil {
		return nil, err
	}
	if err := buildLocks(ctx, dir); err != nil {
		return nil, err
	}
	if err := d.run(dir); err != nil {
		return nil, err
	}
	ctx, d.cancel = context.WithCancel(ctx)
	for n, k := range keys {
		conn, err := d.dial(ctx, d.ports[n])
		if err != nil {
			return nil, errors.Join(err, d.Close())
		}
		d.work.Go(func() { d.present(ctx, conn, d.ports[n], k) })
	}
	return d, nil
}

// configure writes the list of readers, and a copy of the driver for each: launch hides the original, which has room for
// one reader only.
func (d *Daemon) configure(dir string, keys []*vkey.Key) error {
	if err := os.Mkdir(filepath.Join(dir, "conf"), 0o700); err != nil {
		return err
	}
	b, err := os.ReadFile(driverPath)
	if err != nil {
		return err
	}
	var text strings.Builder
	for n, k := range keys {
		port, err := d.freePair()
		if err != nil {
			return err
		}
		d.ports = append(d.ports, port)
		driver := filepath.Join(dir, fmt.Sprintf("driver%d.so", n))
		if err := os.WriteFile(driver, b, 0o600); err != nil {
			return err
		}
		name := "Yubico " + k.USB().Product
		if n > 0 {
			name += fmt.Sprintf(" (%d)", n+1) // where libccid would have the serial number
		}
		d.Readers = append(d.Readers, name+" 00 00")
		fmt.Fprintf(&text, "FRIENDLYNAME %q\nDEVICENAME /dev/null:%d\nLIBPATH %s\nCHANNELID %d\n\n", name, port, driver, port)
	}
	return os.WriteFile(filepath.Join(dir, "conf", "readers"), []byte(text.String()), 0o600)
}

func buildLocks(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "cc", "-shared", "-fPIC", "-pthread", "-x", "c", "-o", filepath.Join(dir, "lock.so"), "-")
	cmd.Stdin = strings.NewReader(locks)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cc: %w: %s", err, said)
	}
	return nil
}

// Ports are drawn where the system does not hand them out by itself.
const (
	firstPort = 20000
	lastPort  = 32000
)

// freePair is an even port that nobody listens on, nor on the next: the driver has two slots, and a port for each. pcscd opens them a while
// later; an abstract socket of the port's number keeps others of us from drawing it until the daemon has ended.
func (d *Daemon) freePair() (int, error) {
	for range lastPort - firstPort {
		port := firstPort + 2*rand.IntN((lastPort-firstPort)/2)
		drawn, err := net.Listen("unix", fmt.Sprint("@tokendesk-vpcd-", port))
		if err != nil {
			continue
		}
		if free(port) && free(port+1) {
			d.drawn = append(d.drawn, drawn)
			return port, nil
		}
		_ = drawn.Close() // somebody else has the port
	}
	return 0, errPort
}

// giveBack lets others draw the ports.
func (d *Daemon) giveBack() {
	for _, l := range d.drawn {
		_ = l.Close() // nobody ever connects
	}
}

func free(port int) bool {
	l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// run starts pcscd on the socket.
func (d *Daemon) run(dir string) error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: d.Socket, Net: "unix"})
	if err != nil {
		return err
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	socket, err := l.File()
	if err != nil {
		return err
	}
	defer socket.Close()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	namespace := "-m"
	if os.Geteuid() != 0 {
		namespace = "-rm"
	}
	d.cmd = exec.Command("unshare", namespace, "sh", "-c", launch, "pcscd", dir)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.ExtraFiles = []*os.File{socket}
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		// The daemon dies with this process. The kernel ties that to the thread that started it, so the thread is kept.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := d.cmd.Start()
		started <- err
		if err == nil {
			_ = d.cmd.Wait() // killed by Close, or its log says why
			close(d.ended)
		}
	}()
	return <-started
}

const (
	openTime = 20 * time.Second // an idle machine needs a twentieth of a second
	openPoll = 5 * time.Millisecond
)

// dial connects to one of the daemon's readers, waiting until it is there.
func (d *Daemon) dial(ctx context.Context, port int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			return conn, nil
		}
		select {
		case <-time.After(openPoll):
		case <-d.ended:
			return nil, errPort
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", errPort, err)
		}
	}
}

// present serves a key's card whenever the key is there.
func (d *Daemon) present(ctx context.Context, conn net.Conn, port int, k *vkey.Key) {
	for {
		back, gone := k.Back(), k.Gone()
		if k.Card().Present() {
			if conn == nil {
				var err error
				if conn, err = d.dial(ctx, port); err != nil {
					return
				}
			}
			_ = Serve(ctx, conn, k) // an error is seen as the card that left
		} else if conn != nil {
			conn.Close()
		}
		conn = nil
		select {
		case <-ctx.Done():
			return
		case <-d.ended:
			return
		case <-gone:
		}
		select {
		case <-ctx.Done():
			return
		case <-d.ended:
			return
		case <-back:
		}
	}
}

// Env is the environment variable, NAME=value, that sends clients of libpcsclite to this daemon.
func (d *Daemon) Env() string { return "PCSCLITE_CSOCK_NAME=" + d.Socket }

// Ended is closed when pcscd ended, be it by Close or because it failed.
func (d *Daemon) Ended() <-chan struct{} { return d.ended }

// Log is what pcscd said.
func (d *Daemon) Log() string {
	b, _ := os.ReadFile(filepath.Join(filepath.Dir(d.Socket), "log"))
	return string(b)
}

// Close ends pcscd and the readers, and waits for them. It may be called more than once.
func (d *Daemon) Close() error {
	d.cancel()
	_ = d.cmd.Process.Kill() // it may have ended
	<-d.ended
	d.work.Wait()
	d.giveBack()
	return nil
}
