package soak

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tareml/tare/internal/netproxy"
	"github.com/tareml/tare/internal/testregistry"
)

const (
	oneWay        = 25 * time.Millisecond
	perConnection = 20_000_000 // bytes a second

	// remoteShards of remoteShard bytes are pulled.
	remoteShards = 2
	remoteShard  = 128 << 20
	remoteSize   = remoteShards * remoteShard

	// repeated is what a connection that is cut may cost: what was not saved yet,
	// and what was on the way.
	repeated = 8 << 20

	killsPerPull = 6
	remoteName   = "/soak/model:v1"
)

// TestSoakNetwork pulls over a link of its own, between two network namespaces:
// far away (a round trip of 50 ms), lossy (1 %) and slow for each connection. It
// needs root, and runs only for as long as TARE_SOAK_SECONDS says.
func TestSoakNetwork(t *testing.T) {
	seconds, err := strconv.Atoi(cmp.Or(os.Getenv("TARE_SOAK_SECONDS"), "0"))
	must(t, err)
	if seconds == 0 {
		t.Skip("TARE_SOAK_SECONDS is not set")
	}
	requireNamespaces(t)
	n := newNetwork(t, passSeed(t))
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	for pass := 0; pass == 0 || time.Now().Before(end) && !t.Failed(); pass++ {
		t.Run("whole", n.wholePull)
		t.Run("killed", n.killedPull)
	}
}

func requireNamespaces(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: network namespaces need root; nothing was tested")
	}
	for _, program := range []string{"ip", "tc"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIPPED: %s is not installed (apt install iproute2); nothing was tested", program)
		}
	}
}

// network is a registry behind a bad link.
type network struct {
	link
	registry string // its host, on this side of the link
	random   *rand.Rand
}

// newNetwork has a model to pull. It is pushed without the link.
func newNetwork(t *testing.T, seed uint64) *network {
	n := &network{
		link:     newLink(t),
		registry: testregistry.Debian(t).Host,
		random:   rand.New(rand.NewPCG(seed, 1)),
	}
	t.Logf("seed %d", seed)
	m := newMachine(t)
	must(t, os.MkdirAll(m.path("model"), 0o755))
	for i := range remoteShards {
		must(t, writeNoise(m.path("model", fmt.Sprintf("model-%d.safetensors", i)), remoteShard, seed, uint64(i)))
	}
	must(t, os.WriteFile(m.path("model", "Modelfile"), []byte("NAME soak\nMODEL *.safetensors\n"), 0o644))
	m.must(t, "build", "--raw", "-t", n.registry+remoteName, "model")
	m.must(t, "push", n.registry+remoteName)
	return n
}

func (n *network) wholePull(t *testing.T) {
	p := n.open(t)
	m := newMachine(t)
	must(t, n.pull(m, p).Run())
	n.check(t, m, p, 0)
}

// killedPull kills a pull again and again, wherever it is, and then lets it end.
func (n *network) killedPull(t *testing.T) {
	p := n.open(t)
	m := newMachine(t)
	kills := 0
	for range killsPerPull {
		after := p.Passed() + n.random.Int64N(remoteSize/killsPerPull)
		killed, err := killWhenPassed(t.Context(), n.pull(m, p), p, after)
		must(t, err)
		must(t, p.WaitIdle(t.Context()))
		if killed {
			kills++
		}
	}
	cut := p.Accepted()
	must(t, n.pull(m, p).Run())
	n.check(t, m, p, cut)
	t.Logf("%d pulls were killed", kills)
}

// check says whether a pull that ended has done what it says, and how often a
// byte was sent for it. Of so many connections the end may have been lost. Each
// blob begins as one stream, which is closed before its end once others share
// in it, and over a lossy link much is on its way then.
func (n *network) check(t *testing.T, m *machine, p *netproxy.Proxy, cut int) {
	t.Helper()
	must(t, p.WaitIdle(t.Context()))
	m.must(t, "verify")
	m.must(t, "extract", "--pull", "never", "--no-sync", p.Addr()+remoteName, m.path("out"))
	passed, most := p.Passed(), int64(remoteSize+(remoteShards+cut)*repeated)
	t.Logf("%d connections, %.3f of the model sent", p.Accepted(), float64(passed)/remoteSize)
	if passed < remoteSize || passed > most {
		t.Errorf("%d bytes were sent for %d, want at most %d", passed, remoteSize, most)
	}
}

// open is a way over the link that counts anew.
func (n *network) open(t *testing.T) *netproxy.Proxy {
	t.Helper()
	l, err := listenIn(n.server, n.address+":0")
	must(t, err)
	p := netproxy.Serve(t.Context(), l, n.registry, netproxy.Options{Rate: perConnection, Delay: n.delay})
	t.Cleanup(p.Close)
	return p
}

// pull is a pull on the far side. ip becomes the program that it starts, and
// so a signal gets there.
func (n *network) pull(m *machine, p *netproxy.Proxy) *exec.Cmd {
	cmd := m.command("pull", "--plain-http", p.Addr()+remoteName)
	args := append([]string{"ip", "netns", "exec", n.client}, cmd.Args...)
	far := exec.Command(args[0], args[1:]...)
	far.Dir, far.Env, far.Stderr = cmd.Dir, cmd.Env, os.Stderr
	return far
}

// link is two network namespaces and what is between them.
type link struct {
	server, client string // names of the namespaces
	address        string // of the server's end

	// delay is what the link itself could not be given.
	delay time.Duration
}

// newLink has names and addresses that are seen in the namespaces alone.
func newLink(t *testing.T) link {
	t.Helper()
	l := link{address: "10.231.7.1"}
	for i, name := range []*string{&l.server, &l.client} {
		*name = fmt.Sprintf("tare-soak-%d-%d", os.Getpid(), i)
		if err := system("ip", "netns", "add", *name); err != nil {
			t.Skipf("SKIPPED: no network namespace can be made here; nothing was tested: %v", err)
		}
		t.Cleanup(func() { system("ip", "netns", "del", *name) })
	}
	for _, line := range []string{
		"-n " + l.server + " link add eth0 type veth peer name eth0 netns " + l.client,
		"-n " + l.server + " address add 10.231.7.1/30 dev eth0",
		"-n " + l.client + " address add 10.231.7.2/30 dev eth0",
		"-n " + l.server + " link set eth0 up",
		"-n " + l.client + " link set eth0 up",
		"-n " + l.client + " link set lo up",
	} {
		must(t, system("ip", strings.Fields(line)...))
	}
	l.worsen(t)
	return l
}

// worsen delays and drops packets by netem. A kernel without it drops them by
// its firewall, and the proxy delays what is left.
func (l *link) worsen(t *testing.T) {
	t.Helper()
	netem := func(ns string) error {
		return system("tc", "-n", ns, "qdisc", "add", "dev", "eth0", "root", "netem", "delay", oneWay.String(), "loss", "0.5%")
	}
	err := errors.Join(netem(l.server), netem(l.client))
	if err == nil {
		return
	}
	t.Logf("NO NETEM, packets are dropped by iptables and delayed by a proxy: %v", err)
	system("tc", "-n", l.server, "qdisc", "del", "dev", "eth0", "root")
	l.delay = oneWay
	for _, ns := range []string{l.server, l.client} {
		err := system("ip", "netns", "exec", ns, "iptables", "-A", "INPUT", "-i", "eth0",
			"-m", "statistic", "--mode", "random", "--probability", "0.005", "-j", "DROP")
		if err != nil {
			t.Logf("NO LOSS in %s: %v", ns, err)
		}
	}
	t.Cleanup(func() { l.logDrops(t) })
}

// logDrops says how many packets the firewall has dropped.
func (l *link) logDrops(t *testing.T) {
	for _, ns := range []string{l.server, l.client} {
		out, err := exec.Command("ip", "netns", "exec", ns, "iptables", "-nvxL", "INPUT").Output()
		if lines := strings.Split(strings.TrimSpace(string(out)), "\n"); err == nil && len(lines) > 2 {
			t.Logf("dropped in %s, packets and bytes: %s", ns, strings.Join(strings.Fields(lines[2])[:2], ", "))
		}
	}
}

func system(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// listenIn listens in a namespace. The socket stays there; the thread that went
// to make it is not used again.
func listenIn(namespace, address string) (net.Listener, error) {
	type result struct {
		l   net.Listener
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		l, err := enterAndListen(namespace, address)
		done <- result{l, err}
	}()
	r := <-done
	return r.l, r.err
}

func enterAndListen(namespace, address string) (net.Listener, error) {
	f, err := os.Open(filepath.Join("/run/netns", namespace))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("entering %s: %w", f.Name(), err)
	}
	return net.Listen("tcp", address)
}
