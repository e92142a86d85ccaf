package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tareml/tare/internal/testregistry"
)

const (
	typedUser     = "typist"
	typedPassword = "Zw0rdf1sh-aT-a-k3yb0ard"

	interruptKey = "\x03" // what a terminal sends for ^C
)

// TestLoginAtTerminal types credentials, of which the password must not be seen.
func TestLoginAtTerminal(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		asks bool // for the user name too
	}{
		"user and password": {nil, true},
		"password":          {[]string{"-u", typedUser}, false},
	} {
		t.Run(name, func(t *testing.T) {
			host := testregistry.Memory(t, onlyTypist).Host
			term := openTerminal(t)
			login := startLogin(t, term, append(test.args, host)...)
			if test.asks {
				term.expect(t, "Username: ")
				term.types(t, typedUser+"\n")
				term.expect(t, typedUser) // which is echoed
			}
			term.expect(t, "Password: ")
			term.awaitEcho(t, false)
			term.types(t, typedPassword+"\n")
			term.expect(t, "logged in to "+host)
			if code := login.code(t); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			term.awaitEcho(t, true)
			term.checkSecret(t)
			login.checkStored(t, host)
		})
	}
}

// TestLoginInterruptedAtTerminal presses ^C at each prompt: the terminal is as it
// was, and nothing is stored.
func TestLoginInterruptedAtTerminal(t *testing.T) {
	half := typedPassword[:len(typedPassword)/2]
	for name, test := range map[string]struct {
		args   []string
		prompt string
		silent bool
		typed  string
	}{
		"at the user name":    {nil, "Username: ", false, ""},
		"in the user name":    {nil, "Username: ", false, "typ"},
		"at the password":     {[]string{"-u", typedUser}, "Password: ", true, ""},
		"within the password": {[]string{"-u", typedUser}, "Password: ", true, half},
	} {
		t.Run(name, func(t *testing.T) {
			host := testregistry.Memory(t, onlyTypist).Host
			term := openTerminal(t)
			login := startLogin(t, term, append(test.args, host)...)
			term.expect(t, test.prompt)
			term.awaitEcho(t, !test.silent)
			term.types(t, test.typed+interruptKey)
			if code := login.code(t); code != 130 {
				t.Errorf("exit code %d, want 130", code)
			}
			term.expect(t, "error: interrupted")
			if !term.echoes(t) {
				t.Error("what is typed is not echoed any more")
			}
			if test.silent && test.typed != "" && strings.Contains(term.shown(), test.typed) {
				t.Errorf("it shows the password: %q", term.shown())
			}
			if left, err := filepath.Glob(filepath.Join(login.config, "*")); err != nil || len(left) > 0 {
				t.Errorf("%v was left, %v", left, err)
			}
		})
	}
}

// onlyTypist lets nobody in but the one who types.
func onlyTypist(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != typedUser || password != typedPassword {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// login is a tare login that runs at a terminal.
type login struct {
	config string // docker's directory
	ended  chan error
}

func startLogin(t *testing.T, term *terminal, args ...string) *login {
	t.Helper()
	l := &login{config: filepath.Join(t.TempDir(), "docker"), ended: make(chan error, 1)}
	cmd := exec.Command("tare", append([]string{"login"}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "DOCKER_CONFIG="+l.config, "TARE_AUTH_FILE=", "GORACE=atexit_sleep_ms=0")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = term.slave, term.slave, term.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { l.ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill() })
	return l
}

// code waits for the end, and returns the exit code.
func (l *login) code(t *testing.T) int {
	t.Helper()
	select {
	case err := <-l.ended:
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return exit.ExitCode()
		}
		if err != nil {
			t.Fatal(err)
		}
		return 0
	case <-time.After(terminalPatience):
		t.Fatal("it does not end")
		return -1
	}
}

func (l *login) checkStored(t *testing.T, host string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(l.config, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	auth := base64.StdEncoding.EncodeToString([]byte(typedUser + ":" + typedPassword))
	if !bytes.Contains(data, []byte(auth)) || !bytes.Contains(data, []byte(host)) {
		t.Errorf("the login is not stored: %s", data)
	}
}

// terminalPatience is how long anything that must happen may take.
const terminalPatience = 30 * time.Second

// terminal is a pseudo terminal.
type terminal struct {
	master, slave *os.File

	mu     sync.Mutex
	output bytes.Buffer
	more   chan struct{} // closed and replaced when something comes
}

func openTerminal(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no terminals here: %v", err)
	}
	var number uint32
	control(t, master, func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		number, err = unix.IoctlGetUint32(fd, unix.TIOCGPTN)
		return err
	})
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{master: master, slave: slave, more: make(chan struct{})}
	t.Cleanup(func() {
		slave.Close()
		master.Close()
	})
	go term.read()
	return term
}

// control leaves f in the mode in which its reads end when it is closed.
func control(t *testing.T, f *os.File, do func(fd int) error) {
	t.Helper()
	conn, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := errors.Join(conn.Control(func(fd uintptr) { failed = do(int(fd)) }), failed); err != nil {
		t.Fatal(err)
	}
}

// read takes in what the terminal shows, until it is closed.
func (t *terminal) read() {
	buf := make([]byte, 4<<10)
	for {
		n, err := t.master.Read(buf)
		t.mu.Lock()
		t.output.Write(buf[:n])
		close(t.more)
		t.more = make(chan struct{})
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// shown is all that a person could have seen.
func (t *terminal) shown() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.output.String()
}

// expect waits until something is shown.
func (t *terminal) expect(tb testing.TB, text string) {
	tb.Helper()
	limit := time.After(terminalPatience)
	for {
		t.mu.Lock()
		shown, more := t.output.String(), t.more
		t.mu.Unlock()
		if strings.Contains(shown, text) {
			return
		}
		select {
		case <-more:
		case <-limit:
			tb.Fatalf("it shows %q, and never %q", shown, text)
		}
	}
}

func (t *terminal) types(tb testing.TB, keys string) {
	tb.Helper()
	if _, err := t.master.WriteString(keys); err != nil {
		tb.Fatal(err)
	}
}

// echoes says whether what is typed is shown.
func (t *terminal) echoes(tb *testing.T) (on bool) {
	tb.Helper()
	control(tb, t.slave, func(fd int) error {
		state, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		on = err == nil && state.Lflag&unix.ECHO != 0
		return err
	})
	return on
}

// awaitEcho waits for it to be on or off: nothing else tells when the password can
// be typed.
func (t *terminal) awaitEcho(tb *testing.T, on bool) {
	tb.Helper()
	for end := time.Now().Add(terminalPatience); t.echoes(tb) != on; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("echo is never %v", on)
		}
	}
}

// checkSecret looks for any part of the password that is long enough to be it.
func (t *terminal) checkSecret(tb testing.TB) {
	tb.Helper()
	const part = 4
	shown := t.shown()
	for i := range len(typedPassword) - part + 1 {
		if strings.Contains(shown, typedPassword[i:i+part]) {
			tb.Errorf("%q of the password is shown: %q", typedPassword[i:i+part], shown)
		}
	}
}
