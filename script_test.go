package main

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tareml/tare/internal/testregistry"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tare": main})
}

// TestScripts drives the real binary. Besides testscript's own commands a script
// has those of scriptCommands, and these files and variables:
//
//	model/                    a copy of testdata/model
//	$TARE_STORE, $HOME …      below $WORK
//	$MEMORY                   host:port of a registry in memory; it has a
//	                          plain image and an index at notmodel/image, …/index
//	$TLS                      of one that speaks TLS, with a certificate of its own
//	$TLS_PORT, $TLS_CA        its port, and a file with its certificate
//	$PROXY                    host:port of a proxy whose tunnels all lead to $TLS
//	$HANGING                  the same registry, but large blobs stop half way
//	$DEBIAN, $DEBIAN_AUTH     of docker-registry, if [peer:docker-registry]
//	$USERNAME, $PASSWORD      what $DEBIAN_AUTH asks for
//	$ECR, $ECR_API            of a registry like Amazon's, and the URL of its API,
//	$ECR_KEY, $ECR_SECRET     which knows these keys
//	$NOBODY                   host:port where nobody listens
//	$CHATTY                   of one that says more than it was asked for
//
// Registries are shared: a script keeps to repositories of its own name.
func TestScripts(t *testing.T) {
	memory := testregistry.Memory(t)
	pushImages(t, memory.Host)
	vars := map[string]string{
		"MEMORY":   memory.Host,
		"HANGING":  testregistry.Memory(t, hang).Host,
		"NOBODY":   nobody(t),
		"CHATTY":   chatty(t),
		"USERNAME": testregistry.Username,
		"PASSWORD": testregistry.Password,
	}
	maps.Copy(vars, secureRegistry(t))
	maps.Copy(vars, amazonRegistry(t))
	if ok, err := havePeer("docker-registry"); err != nil {
		t.Fatal(err)
	} else if ok {
		vars["DEBIAN"] = testregistry.Debian(t).Host
		vars["DEBIAN_AUTH"] = testregistry.Debian(t, testregistry.WithAuth()).Host
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               func(env *testscript.Env) error { return setup(env, vars) },
		Cmds:                scriptCommands(),
		Condition:           condition,
	})
}

// secureRegistry is a registry that speaks TLS, and the ways to it.
func secureRegistry(t *testing.T) map[string]string {
	t.Helper()
	host := testregistry.MemoryTLS(t).Host
	conn, err := tls.Dial("tcp", host, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	cert := conn.ConnectionState().PeerCertificates[0]
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"TLS": host, "TLS_PORT": port, "TLS_CA": file, "PROXY": tunnels(t, host)}
}

// amazonRegistry is one with the habits of Amazon ECR.
func amazonRegistry(t *testing.T) map[string]string {
	t.Helper()
	amazon := testregistry.NewAmazon(t)
	return map[string]string{
		"ECR":        testregistry.Memory(t, amazon.Guard).Host,
		"ECR_API":    amazon.URL,
		"ECR_KEY":    testregistry.AccessKey,
		"ECR_SECRET": testregistry.SecretKey,
	}
}

// tunnels is a proxy that connects to one host, whatever it is asked for.
func tunnels(t *testing.T, host string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		there, err := net.Dial("tcp", host)
		if r.Method != http.MethodConnect || err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer there.Close()
		w.WriteHeader(http.StatusOK)
		here, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer here.Close()
		go io.Copy(there, buffered)
		io.Copy(here, there)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// pushImages puts what is no model into a registry.
func pushImages(t *testing.T, host string) {
	t.Helper()
	image, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := image.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	putManifest(t, host+"/v2/notmodel/image/manifests/v1", string(types.DockerManifestSchema2), manifest)
	index := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
	putManifest(t, host+"/v2/notmodel/index/manifests/v1", string(types.OCIImageIndex), index)
}

func putManifest(t *testing.T, url, mediaType string, data []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+url, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s: %s", url, resp.Status)
	}
}

func setup(env *testscript.Env, vars map[string]string) error {
	all := map[string]string{
		"HOME":          filepath.Join(env.WorkDir, "home"),
		"USERPROFILE":   filepath.Join(env.WorkDir, "home"),
		"DOCKER_CONFIG": filepath.Join(env.WorkDir, "docker"),
		"TARE_STORE":    filepath.Join(env.WorkDir, "store"),
		"GORACE":        "atexit_sleep_ms=0", // the race detector sleeps a second at each exit
	}
	maps.Copy(all, vars)
	for name, value := range all {
		env.Setenv(name, value)
	}
	return os.CopyFS(filepath.Join(env.WorkDir, "model"), os.DirFS("testdata/model"))
}

// hang lets the first half of large blobs through and then nothing.
func hang(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			w = &hangingWriter{ResponseWriter: w, r: r}
		}
		next.ServeHTTP(w, r)
	})
}

// hangingWriter stops in the middle of a body of more than 10,000 bytes.
type hangingWriter struct {
	http.ResponseWriter
	r *http.Request
}

func (w *hangingWriter) Write(p []byte) (int, error) {
	const most = 10_000
	if len(p) <= most {
		return w.ResponseWriter.Write(p)
	}
	n, _ := w.ResponseWriter.Write(p[:len(p)/2])
	w.ResponseWriter.(http.Flusher).Flush()
	<-w.r.Context().Done()
	return n, w.r.Context().Err()
}

// nobody finds an address that refuses connections.
func nobody(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// condition knows [peer:NAME], a program of others that is installed, and [root].
func condition(name string) (bool, error) {
	if peer, ok := strings.CutPrefix(name, "peer:"); ok {
		return havePeer(peer)
	}
	if name == "root" {
		return os.Getuid() == 0, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// havePeer fails where peers are required and missing.
func havePeer(program string) (bool, error) {
	_, err := exec.LookPath(program)
	if err != nil && os.Getenv(testregistry.RequirePeers) == "1" {
		return false, fmt.Errorf("%s is not installed, and %s=1 asks for it", program, testregistry.RequirePeers)
	}
	return err == nil, nil
}

func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"exitcode":  cmdExitCode,
		"sametree":  cmdSameTree,
		"tidy":      cmdTidy,
		"flip":      cmdFlip,
		"socket":    cmdSocket,
		"readtrim":  cmdReadTrim,
		"writelong": cmdWriteLong,
		"interrupt": cmdInterrupt,
		"sparse":    cmdSparse,
		"push":      cmdPush,
		"await":     cmdAwait,
	}
}

// cmdExitCode runs a command that has to end with the given code:
//
//	exitcode 3 tare pull …
func cmdExitCode(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var exit *exec.ExitError
	got := 0
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// cmdSameTree asks that two directories hold the same files, byte for byte. What
// tare keeps there is not compared, nor are names that follow:
//
//	sametree model out Modelfile
func cmdSameTree(ts *testscript.TestScript, _ bool, args []string) {
	want, got := readTree(ts, args[0]), readTree(ts, args[1])
	for _, name := range args[2:] {
		delete(want, name)
		delete(got, name)
	}
	isOurs := func(name string, _ []byte) bool { return strings.HasPrefix(filepath.ToSlash(name), ".tare/") }
	maps.DeleteFunc(want, isOurs)
	maps.DeleteFunc(got, isOurs)
	for name, content := range want {
		if !bytes.Equal(got[name], content) {
			ts.Fatalf("%s differs or is missing", name)
		}
		delete(got, name)
	}
	for name := range got {
		ts.Fatalf("%s is too much", name)
	}
}

func readTree(ts *testscript.TestScript, dir string) map[string][]byte {
	files := make(map[string][]byte)
	fsys := os.DirFS(ts.MkAbs(dir))
	ts.Check(fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[name], err = fs.ReadFile(fsys, name)
		return err
	}))
	return files
}

// cmdTidy asks that no unfinished work lies in a store: no temporary file, no
// session, no partial blob.
func cmdTidy(ts *testscript.TestScript, _ bool, args []string) {
	for _, dir := range []string{"tmp", "sessions", "partial"} {
		root := filepath.Join(ts.MkAbs(args[0]), ".tare", dir)
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				ts.Fatalf("%s was left behind", path)
			}
			return nil
		})
	}
}

// cmdFlip changes one bit in the middle of a file.
func cmdFlip(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	data[len(data)/2] ^= 1
	ts.Check(os.Chmod(path, 0o644))
	ts.Check(os.WriteFile(path, data, 0o644))
}

// cmdSocket makes a unix socket that lives as long as the script.
func cmdSocket(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := net.Listen("unix", ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { listener.Close() })
}

// cmdReadTrim sets a variable to the content of a file without its line end:
//
//	readtrim DIGEST stdout
func cmdReadTrim(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

// cmdWriteLong writes a file of one line of n bytes after a prefix:
//
//	writelong FILE PREFIX N
func cmdWriteLong(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(args[1]+strings.Repeat("x", n)+"\n"), 0o644))
}

// cmdSparse makes a file of n bytes that takes no room:
//
//	sparse FILE N
func cmdSparse(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), nil, 0o644))
	ts.Check(os.Truncate(ts.MkAbs(args[0]), n))
}

// cmdInterrupt starts a command, interrupts it when a file that matches a pattern
// holds something, and asks for exit code 130:
//
//	interrupt 'store/.tare/tmp/*' tare build …
func cmdInterrupt(ts *testscript.TestScript, _ bool, args []string) {
	path, err := exec.LookPath(args[1])
	if err != nil {
		path = filepath.Join(strings.Split(ts.Getenv("PATH"), string(os.PathListSeparator))[0], args[1])
	}
	var output bytes.Buffer
	cmd := exec.Command(path, args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{"HOME=" + ts.Getenv("HOME"), "TARE_STORE=" + ts.Getenv("TARE_STORE"), "DOCKER_CONFIG=" + ts.Getenv("DOCKER_CONFIG")}
	cmd.Stdout, cmd.Stderr = &output, &output
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for !anyContent(ts.MkAbs(args[0])) {
		select {
		case err := <-ended:
			ts.Fatalf("ended before it could be interrupted: %v\n%s", err, output.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	ts.Check(cmd.Process.Signal(os.Interrupt))
	<-ended
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		ts.Fatalf("exit code %d, want 130\n%s", code, output.String())
	}
	if !strings.Contains(output.String(), "error: interrupted") {
		ts.Fatalf("output %q", output.String())
	}
}

func anyContent(pattern string) bool {
	matches, _ := filepath.Glob(pattern)
	for _, m := range matches {
		if info, err := os.Stat(m); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			return true
		}
	}
	return false
}
