package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tareml/tare/internal/netproxy"
)

const (
	repository   = "bench/model"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
)

// remote is the far end of pulls and pushes: a registry, the model in it, and the
// network on the way.
type remote struct {
	registry *exec.Cmd
	host     string          // of the registry
	layers   []layer         // none if the model is not there
	proxy    *netproxy.Proxy // of this run
	before   int64           // what it passed before the run
}

// layer is a shard in the registry.
type layer struct {
	Digest string
	Size   int64
}

// end stops what runs.
func (r *remote) end() {
	r.closeProxy()
	if r.registry != nil {
		r.registry.Process.Kill()
		r.registry.Wait()
	}
}

func (r *remote) closeProxy() {
	if r.proxy != nil {
		r.proxy.Close()
	}
}

// ref is the published model, as it is reached by a host.
func refAt(host string) string { return host + "/" + repository + ":v1" }

// missing says why there can be no pulls.
func (b *bench) missing() string {
	if _, err := exec.LookPath("curl"); err != nil {
		return "curl is not installed"
	}
	if !exists(b.registry) {
		return fmt.Sprintf("there is no registry %s (make bin/distribution)", b.registry)
	}
	return ""
}

// serve starts a registry, once.
func (b *bench) serve(ctx context.Context) error {
	if b.remote.host != "" {
		return nil
	}
	if err := b.startRegistry(ctx); err != nil {
		return fmt.Errorf("starting %s: %w", b.registry, err)
	}
	return nil
}

// publish pushes the model to the registry, unless it is there.
func (b *bench) publish(ctx context.Context) error {
	if len(b.remote.layers) > 0 {
		return nil
	}
	if err := b.serve(ctx); err != nil {
		return err
	}
	home, ref := b.path("home"), refAt(b.remote.host)
	err := perform(ctx, []action{
		b.empty(home),
		b.command(home, []string{b.tare, "build", "--raw", "-t", ref, b.path("weights")}),
		b.command(home, []string{b.tare, "push", ref}),
		b.empty(home),
	})
	if err != nil {
		return err
	}
	b.remote.layers, err = publishedLayers(ctx, b.remote.host)
	return err
}

// startRegistry starts a registry that keeps its files in the scratch directory.
func (b *bench) startRegistry(ctx context.Context) error {
	program, err := filepath.Abs(b.registry)
	if err != nil {
		return err
	}
	config := fmt.Sprintf("version: 0.1\nlog: {level: info, formatter: json, accesslog: {disabled: true}}\n"+
		"storage:\n  filesystem: {rootdirectory: %q}\n  maintenance: {uploadpurging: {enabled: false}}\n"+
		"http:\n  addr: 127.0.0.1:0\n  secret: bench\n", b.path("registry"))
	if err := os.WriteFile(b.path("registry.yml"), []byte(config), 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, "serve", b.path("registry.yml"))
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	log, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	b.remote.registry = cmd
	b.remote.host, err = awaitRegistry(log)
	return err
}

// awaitRegistry finds where a registry listens in what it says, and then lets
// it talk.
func awaitRegistry(log io.Reader) (host string, err error) {
	listening := regexp.MustCompile(`listening on (127\.0\.0\.1:[0-9]+)`)
	lines := bufio.NewReader(log)
	var said bytes.Buffer
	for {
		line, err := lines.ReadString('\n')
		if m := listening.FindStringSubmatch(line); m != nil {
			go io.Copy(io.Discard, lines) // until it ends
			return m[1], nil
		}
		said.WriteString(line)
		if err != nil {
			return "", fmt.Errorf("it ended before it listened: %s", bytes.TrimSpace(said.Bytes()))
		}
	}
}

// publishedLayers asks the registry what the model is made of.
func publishedLayers(ctx context.Context, host string) ([]layer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/v2/"+repository+"/manifests/v1", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", manifestType)
	client := http.Client{Transport: new(http.Transport)} // without a proxy
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var manifest struct{ Layers []layer }
	if err := json.NewDecoder(resp.Body).Decode(&manifest); err != nil || len(manifest.Layers) == 0 {
		return nil, errors.Join(fmt.Errorf("no manifest: %s", resp.Status), err)
	}
	return manifest.Layers, nil
}

// through puts a network between the registry and what is run next. Its bytes
// count from here.
func (b *bench) through(o netproxy.Options) action {
	return func(ctx context.Context) (err error) {
		b.remote.closeProxy()
		b.remote.before = 0
		b.remote.proxy, err = netproxy.Start(ctx, b.remote.host, o)
		return err
	}
}

// killHalfway runs a command through the network until half of the model has
// passed, and then kills it. Bytes count from there.
func (b *bench) killHalfway(home string, args func() []string) action {
	return func(ctx context.Context) error {
		running, kill := context.WithCancel(ctx)
		defer kill()
		p := newProcess(running, home, args())
		if err := p.Start(); err != nil {
			return err
		}
		halfway := make(chan error)
		go func() {
			err := b.remote.proxy.WaitPassed(running, b.size/2)
			kill()
			halfway <- err
		}()
		err := p.wait()
		kill()
		switch notYet := <-halfway; {
		case err == nil:
			return fmt.Errorf("%s ended before it was killed: SIZE is too small", strings.Join(p.Args, " "))
		case notYet != nil:
			return err
		}
		return b.forget(ctx)
	}
}

// forget counts from here, when all that was under way has ended.
func (b *bench) forget(ctx context.Context) error {
	if err := b.remote.proxy.WaitIdle(ctx); err != nil {
		return err
	}
	b.remote.before = b.remote.proxy.Passed()
	return nil
}

// sent is what the network has passed for a command that has ended.
func (b *bench) sent(ctx context.Context) (int64, error) {
	p := b.remote.proxy
	if err := p.WaitIdle(ctx); err != nil {
		return 0, err
	}
	if left := p.CutsLeft(); left > 0 {
		return 0, fmt.Errorf("%d cuts did not happen", left)
	}
	return p.Passed() - b.remote.before, nil
}

// spread is cuts at even distances, every other one by a reset.
func spread(n int, size int64) []netproxy.Cut {
	var cuts []netproxy.Cut
	for i := range n {
		cuts = append(cuts, netproxy.Cut{After: size * int64(i+1) / int64(n+1), Reset: i%2 == 1})
	}
	return cuts
}
