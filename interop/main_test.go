package interop_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
)

// TestMain builds tare as users get it, with the versions in its own go.mod, and
// puts it first in PATH. Neither tare nor the others see the user's home.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "interop-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = setup(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	m.Run() // its result is the exit code once TestMain returns
}

func setup(dir string) error {
	binary := filepath.Join(dir, "bin", "tare")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	build := exec.Command("go", "build", "-C", "..", "-buildvcs=false", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building tare: %w\n%s", err, out)
	}
	logrus.SetOutput(io.Discard) // of modctl and podman
	for name, value := range map[string]string{
		"PATH":            filepath.Dir(binary) + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME":            filepath.Join(dir, "home"),
		"USERPROFILE":     filepath.Join(dir, "home"),
		"DOCKER_CONFIG":   filepath.Join(dir, "home", ".docker"),
		"XDG_CACHE_HOME":  filepath.Join(dir, "home", ".cache"),
		"XDG_CONFIG_HOME": filepath.Join(dir, "home", ".config"),
		"XDG_RUNTIME_DIR": filepath.Join(dir, "home", "run"),
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

// tare runs the real binary on a store and returns its standard output.
func tare(t *testing.T, store string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "tare", args...)
	cmd.Env = append(os.Environ(), "TARE_STORE="+store)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("tare %q: %v\n%s", args, err, &stderr)
	}
	return stdout.String()
}
