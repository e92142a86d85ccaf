package storage_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tareml/tare/internal/storetest"
	"github.com/tareml/tare/storage"
)

// neverRest builds, tags and collects garbage until it is killed, and says so
// at each step. The first steps of process n are different from those of others.
func neverRest(ctx context.Context, s *storage.Store, n int) error {
	for round := 0; ; round++ {
		if err := restlessRound(ctx, s, n, round); err != nil {
			return err
		}
	}
}

// step tells the test that it can kill us now.
func step(err error) error {
	fmt.Println("step")
	return err
}

func restlessRound(ctx context.Context, s *storage.Store, n, round int) error {
	session, err := s.Begin(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	talking := io.MultiReader(bytes.NewReader(half), readerFunc(func([]byte) (int, error) { return 0, step(io.EOF) }))
	if _, _, err := session.Ingest(ctx, talking); step(err) != nil {
		return err
	}
	desc, err := crowdArtifact(ctx, session, n, round)
	if step(err) != nil {
		return err
	}
	if err := session.Tag(crowdRef("kept", n, round), desc); step(err) != nil {
		return err
	}
	if err := session.Sync(ctx); step(err) != nil {
		return err
	}
	_, err = s.GC(ctx, false)
	return step(err)
}

// kills is how many processes are killed.
const kills = 8

// TestKilledAnywhere kills a process at one step after the other.
func TestKilledAnywhere(t *testing.T) {
	s := tagged(t)
	for n := range kills {
		killAfter(t, s, n)
		checkIntact(t, s)
	}
	_, err := s.GC(t.Context(), false)
	must(t, err)
	for _, dir := range []string{"tmp", "sessions", "partial", "bad"} {
		if names, _ := filepath.Glob(filepath.Join(s.Dir(), ".tare", dir, "*")); len(names) != 0 {
			t.Errorf("left behind: %q", names)
		}
	}
}

// killAfter starts process n and kills it when it has said as many steps.
func killAfter(t *testing.T, s *storage.Store, n int) {
	t.Helper()
	cmd := process(t, "busy", s.Dir(), n)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer cmd.Wait()
	defer cmd.Process.Kill()
	for lines := bufio.NewScanner(out); n >= 0; n-- {
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), "step") {
			t.Fatalf("the process said %q, %v", lines.Text(), lines.Err())
		}
	}
}

// checkIntact finds every tag with all that it leads to.
func checkIntact(t *testing.T, s *storage.Store) {
	t.Helper()
	list, err := open(t, s.Dir()).List()
	must(t, err)
	kept := false
	for _, e := range list {
		kept = kept || e.Ref == "kept"
		if strings.HasPrefix(e.Ref, "kept") {
			checkLayers(t, s, e.Descriptor)
		}
	}
	if !kept {
		err = errors.New("the tag that was there first is gone")
	}
	if err := errors.Join(err, verifyAll(t.Context(), s)); err != nil {
		t.Error(err)
	}
	session := begin(t, s)
	must(t, session.Tag("after", storetest.PutArtifact(t, session, []byte("after"))))
	must(t, session.Close())
}

// soakEnv says for how many seconds TestSoak runs.
const soakEnv = "TARE_SOAK_SECONDS"

// TestSoak has processes killed and in a crowd, over and over.
func TestSoak(t *testing.T) {
	seconds, err := strconv.Atoi(cmp.Or(os.Getenv(soakEnv), "0"))
	must(t, err)
	if seconds == 0 {
		t.Skip("SKIPPED: " + soakEnv + " is not set")
	}
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end) && !t.Failed(); {
		t.Run("killed", TestKilledAnywhere)
		t.Run("crowd", TestManyProcessesLoseNothing)
	}
}
