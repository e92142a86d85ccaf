// Command demo shows the main job of tare from end to end: it runs the tare
// binary on a small model, against a registry of its own on loopback, and ends
// by comparing every byte. It needs no root and no network, and leaves nothing
// behind.
//
//	go run ./internal/demo TARE MODELDIR
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/tareml/tare/modelpack"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: demo TARE MODELDIR")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo is a shell in a scratch directory.
type demo struct {
	dir  string
	tare string
	host string
}

func run(tare, model string) (err error) {
	d := &demo{}
	if d.tare, err = filepath.Abs(tare); err != nil {
		return err
	}
	if d.dir, err = os.MkdirTemp("", "tare-demo-*"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	if err := os.CopyFS(filepath.Join(d.dir, "tiny-llama"), os.DirFS(model)); err != nil {
		return err
	}
	stop, err := d.serve()
	if err != nil {
		return err
	}
	defer stop()
	if err := d.mainJob(); err != nil {
		return err
	}
	return d.compare("tiny-llama", "served")
}

// serve starts a registry on a free port.
func (d *demo) serve() (stop func() error, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d.host = listener.Addr().String()
	server := &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	go server.Serve(listener)
	return server.Close, nil
}

// mainJob runs the commands of the main job, one after the other.
func (d *demo) mainJob() error {
	ref := d.host + "/demo/tiny-llama:v1"
	for _, line := range []string{
		"tare modelfile generate tiny-llama",
		"cat tiny-llama/Modelfile",
		"tare --store laptop build -t " + ref + " tiny-llama",
		"tare --store laptop ls",
		"tare --store laptop push " + ref,
		"tare inspect --remote --format {{.Digest}} " + ref,
		"tare --store server pull " + ref,
		"tare --store server extract " + ref + " served",
		"ls served",
	} {
		if err := d.shell(line); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
	}
	return nil
}

// shell prints a command line and runs it.
func (d *demo) shell(line string) error {
	fmt.Printf("$ %s\n", line)
	defer fmt.Println()
	words := strings.Fields(line)
	switch words[0] {
	case "cat":
		return d.cat(words[1])
	case "ls":
		return d.list(words[1])
	}
	cmd := exec.Command(d.tare, words[1:]...)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+filepath.Join(d.dir, "docker"), "TARE_STORE="+filepath.Join(d.dir, "store"))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	return cmd.Run()
}

func (d *demo) cat(name string) error {
	data, err := os.ReadFile(filepath.Join(d.dir, name))
	os.Stdout.Write(data)
	return err
}

func (d *demo) list(name string) error {
	entries, err := os.ReadDir(filepath.Join(d.dir, name))
	for _, e := range entries {
		if e.Name() != modelpack.StateDir { // as ls does
			fmt.Println(e.Name())
		}
	}
	return err
}

// compare holds every file of the source against its copy, and asks that the
// copy has no others. The Modelfile describes the artifact and is not in it.
func (d *demo) compare(source, copied string) error {
	want, err := d.read(source)
	if err != nil {
		return err
	}
	delete(want, "Modelfile")
	got, err := d.read(copied)
	if err != nil {
		return err
	}
	total := 0
	for name, content := range want {
		if !bytes.Equal(got[name], content) {
			return fmt.Errorf("%s is not the same", name)
		}
		total += len(content)
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d files came out, %d went in", len(got), len(want))
	}
	fmt.Printf("%d files, %d bytes: every byte is the same\n", len(want), total)
	return nil
}

// read returns the content of all files below a directory.
func (d *demo) read(dir string) (map[string][]byte, error) {
	files := make(map[string][]byte)
	fsys := os.DirFS(filepath.Join(d.dir, dir))
	err := fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
		if e != nil && e.IsDir() && name == modelpack.StateDir {
			return fs.SkipDir // what tare remembers of an extraction
		}
		if err != nil || e.IsDir() {
			return err
		}
		files[name], err = fs.ReadFile(fsys, name)
		return err
	})
	return files, err
}
