package storage_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/internal/storetest"
	"github.com/tareml/tare/storage"
)

// roleEnv makes the test binary a process that uses a store: a role, the
// directory of the store and a number, one a line.
const roleEnv = "STORAGE_TEST_ROLE"

// role is what such a process does. It says "ready" and waits to be killed, or
// ends.
type role = func(ctx context.Context, s *storage.Store, n int) error

func roles() map[string]role {
	all := map[string]role{
		"crowd":   crowd,
		"begin":   justBegin,
		"ingest":  hangInIngest,
		"receive": hangInReceive,
		"busy":    neverRest,
	}
	maps.Copy(all, platformRoles())
	return all
}

func TestMain(m *testing.M) {
	if spec := os.Getenv(roleEnv); spec != "" {
		if err := play(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func play(spec string) error {
	parts := strings.Split(spec, "\n")
	n, err := strconv.Atoi(parts[2])
	if err != nil {
		return err
	}
	s, err := storage.Open(parts[1])
	if err != nil {
		return err
	}
	return roles()[parts[0]](context.Background(), s, n)
}

// process is a command that plays a role.
func process(t *testing.T, role, dir string, n int) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s\n%s\n%d", roleEnv, role, dir, n))
	return cmd
}

// processes is how many use a store at once.
const processes = 16

// together runs processes in a role until all have ended.
func together(t *testing.T, role, dir string) {
	t.Helper()
	var wg sync.WaitGroup
	for n := range processes {
		cmd := process(t, role, dir, n)
		wg.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("process %d: %v\n%s", n, err, out)
			}
		})
	}
	wg.Wait()
}

func justBegin(ctx context.Context, s *storage.Store, _ int) error {
	session, err := s.Begin(ctx)
	if err != nil {
		return err
	}
	return session.Close()
}

func TestManyProcessesCreate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "store")
	together(t, "begin", dir)
	if list, err := open(t, dir).List(); len(list) != 0 || err != nil {
		t.Errorf("got %v, %v, want an empty store", list, err)
	}
}

// rounds is how often each process of the crowd does everything.
const rounds = 6

// common is content that all want and all give up again.
var common = bytes.Repeat([]byte("common"), 10_000)

// crowd tags, untags, ingests, receives and collects garbage.
func crowd(ctx context.Context, s *storage.Store, n int) error {
	for round := range rounds {
		if err := crowdRound(ctx, s, n, round); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
	}
	return nil
}

func crowdRound(ctx context.Context, s *storage.Store, n, round int) error {
	session, err := s.Begin(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	desc, err := crowdArtifact(ctx, session, n, round)
	if err != nil {
		return err
	}
	if err := session.Tag(crowdRef("kept", n, round), desc); err != nil {
		return err
	}
	if err := session.Tag(crowdRef("gone", n, round), desc); err != nil {
		return err
	}
	if err := session.Tag("moving", desc); err != nil {
		return err
	}
	if err := session.Close(); err != nil {
		return err
	}
	refs := []string{crowdRef("gone", n, round)}
	if round%2 == 1 {
		refs = append(refs, crowdRef("kept", n, round)) // and so its blobs
	}
	if err := s.Untag(refs...); err != nil {
		return err
	}
	if (n+round)%3 == 0 {
		_, err = s.GC(ctx, false)
	}
	if (n+round)%7 == 0 {
		err = errors.Join(err, verifyAll(ctx, s))
	}
	return err
}

// verifyAll is an error if there is a bad blob in s.
func verifyAll(ctx context.Context, s *storage.Store) error {
	found, err := s.Verify(ctx, nil, storage.VerifyOptions{})
	if err == nil && len(found.Bad) != 0 {
		err = fmt.Errorf("bad blobs: %v", found.Bad)
	}
	return err
}

// crowdArtifact brings in a manifest, a layer of its own and the common layer.
func crowdArtifact(ctx context.Context, session *storage.Session, n, round int) (ocispec.Descriptor, error) {
	none := ocispec.Descriptor{}
	shared := storetest.Describe("x", common)
	if _, err := session.Receive(ctx, shared, storetest.Write(shared, common)); err != nil {
		return none, err
	}
	own := fmt.Appendf(nil, "%d/%d", n, round)
	if _, _, err := session.Ingest(ctx, bytes.NewReader(own)); err != nil {
		return none, err
	}
	layer := storetest.Describe("x", own)
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"layers":[{"digest":%q,"size":%d},{"digest":%q,"size":%d}]}`,
		shared.Digest, shared.Size, layer.Digest, layer.Size)
	d, size, err := session.Ingest(ctx, bytes.NewReader(manifest))
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: size}, err
}

func crowdRef(what string, n, round int) string { return fmt.Sprintf("%s:%d-%d", what, n, round) }

func TestManyProcessesLoseNothing(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store"))
	together(t, "crowd", s.Dir())
	_, err := s.GC(t.Context(), false)
	must(t, err)
	want := map[string]bool{"moving": true}
	for n := range processes {
		for round := 0; round < rounds; round += 2 {
			want[crowdRef("kept", n, round)] = true
		}
	}
	list, err := s.List()
	must(t, err)
	if len(list) != len(want) {
		t.Errorf("%d tags, want %d", len(list), len(want))
	}
	for _, e := range list {
		if !want[e.Ref] {
			t.Errorf("%s is still there", e.Ref)
		}
		checkLayers(t, s, e.Descriptor)
	}
}

// checkLayers reads the layers of a manifest.
func checkLayers(t *testing.T, s *storage.Store, desc ocispec.Descriptor) {
	t.Helper()
	data, err := s.ReadAll(desc)
	must(t, err)
	layers := parseLayers(t, data)
	if len(layers) == 0 {
		t.Errorf("%s has no layers", desc.Digest)
	}
	for _, layer := range layers {
		if _, err := s.ReadAll(layer); err != nil {
			t.Error(err)
		}
	}
}

// sayReady tells the test that it can kill us now, and waits for it.
func sayReady() {
	fmt.Println("ready")
	select {}
}

// half is the first half of content whose second never comes.
var half = bytes.Repeat([]byte("half"), 100_000)

// whole is the content that half is the first half of.
var whole = append(bytes.Clone(half), half...)

func hangInIngest(ctx context.Context, s *storage.Store, _ int) error {
	session, err := s.Begin(ctx)
	if err != nil {
		return err
	}
	if _, _, err := session.Ingest(ctx, strings.NewReader("finished, never tagged")); err != nil {
		return err
	}
	_, _, err = session.Ingest(ctx, io.MultiReader(bytes.NewReader(half), readerFunc(func([]byte) (int, error) {
		sayReady()
		return 0, io.EOF
	})))
	return err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func hangInReceive(ctx context.Context, s *storage.Store, _ int) error {
	session, err := s.Begin(ctx)
	if err != nil {
		return err
	}
	_, err = session.Receive(ctx, storetest.Describe("x", whole), func(_ context.Context, sink blob.Sink) (blob.Proof, error) {
		if _, err := sink.WriteAt(half, 0); err != nil {
			return blob.Proof{}, err
		}
		if err := sink.SaveState([]byte("half")); err != nil {
			return blob.Proof{}, err
		}
		sayReady()
		return blob.Proof{}, nil
	})
	return err
}

// start starts a process that hangs, and returns when it does.
func start(t *testing.T, role, dir string) (kill func()) {
	t.Helper()
	cmd := process(t, role, dir, 0)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	kill = sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	t.Cleanup(kill)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the process said %q: %v", line, err)
	}
	return kill
}

func TestKilledInIngest(t *testing.T) {
	s := tagged(t)
	_, err := s.GC(t.Context(), false)
	must(t, err)
	clean := files(t, s.Dir())
	kill := start(t, "ingest", s.Dir())

	freed, err := s.GC(t.Context(), false)
	must(t, err)
	if freed.Blobs != 0 || freed.Leftovers != 0 {
		t.Errorf("freed from a live session: %v", freed)
	}
	kill()
	dry, err := s.GC(t.Context(), true)
	must(t, err)
	freed, err = s.GC(t.Context(), false)
	must(t, err)
	if freed.Blobs != 1 || freed.Leftovers != 1 || freed.Bytes < int64(len(half)) {
		t.Errorf("freed from a dead session: %v", freed)
	}
	if dry.Bytes != freed.Bytes {
		t.Errorf("the dry run said %v", dry)
	}
	checkFiles(t, s, clean)
}

func checkFiles(t *testing.T, s *storage.Store, want []string) {
	t.Helper()
	if got := files(t, s.Dir()); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("files:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestKilledInReceive(t *testing.T) {
	s := tagged(t)
	_, err := s.GC(t.Context(), false)
	must(t, err)
	clean := files(t, s.Dir())
	kill := start(t, "receive", s.Dir())
	freed, err := s.GC(t.Context(), false)
	must(t, err)
	if freed.Leftovers != 0 {
		t.Errorf("freed from a live transfer: %v", freed)
	}
	kill()
	freed, err = s.GC(t.Context(), false)
	must(t, err)
	if freed.Leftovers != 2 { // bytes and state
		t.Errorf("freed from an abandoned transfer: %v", freed)
	}
	checkFiles(t, s, clean)
}

func TestKilledReceiveResumes(t *testing.T) {
	s := open(t, t.TempDir())
	start(t, "receive", s.Dir())()
	resume(t, begin(t, s))
}

// resume goes on where a process that hung in Receive was killed.
func resume(t *testing.T, session *storage.Session) {
	t.Helper()
	desc := storetest.Describe("x", whole)
	present, err := session.Receive(t.Context(), desc, func(_ context.Context, sink blob.Sink) (blob.Proof, error) {
		if state, err := sink.LoadState(); string(state) != "half" || err != nil {
			return blob.Proof{}, fmt.Errorf("state %q: %w", state, errors.Join(err, errors.New("not what was saved")))
		}
		if _, err := sink.WriteAt(half, int64(len(half))); err != nil {
			return blob.Proof{}, err
		}
		got := make([]byte, len(whole))
		if _, err := sink.ReadAt(got, 0); err != nil && err != io.EOF {
			return blob.Proof{}, err
		}
		return storetest.Prove(desc, got)
	})
	if present || err != nil {
		t.Errorf("got %v, %v, want it to be resumed", present, err)
	}
}

// TestWaitsForOtherProcess wants what another process is transferring, which
// then dies.
func TestWaitsForOtherProcess(t *testing.T) {
	s := open(t, t.TempDir())
	kill := start(t, "receive", s.Dir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := begin(t, s).Receive(ctx, storetest.Describe("x", whole), nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	session := begin(t, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		resume(t, session)
	}()
	kill()
	<-done
}

func parseLayers(t *testing.T, manifest []byte) []ocispec.Descriptor {
	t.Helper()
	var m ocispec.Manifest
	must(t, json.Unmarshal(manifest, &m))
	return m.Layers
}
