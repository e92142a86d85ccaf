package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/tareml/tare/internal/netproxy"
)

const (
	// changedRef is the next version of what ref is.
	changedRef = "localhost/bench/model:v2"

	// noContent is more than an extract reads that looks at no content: its own
	// state, and what the store says of the model.
	noContent = 1 << 20

	// compared is how much of each file must be what was packaged. Tests look at
	// all of it.
	compared = "1M"
)

// extractSteps lists the extractions from the store, which has the model in
// layers as they are by default.
func (b *bench) extractSteps() []step {
	var steps []step
	for _, of := range []func(durability) step{b.extractStored, b.extractUnchanged, b.extractChanged} {
		steps = append(steps, of(unsynced), of(synced))
	}
	for i := range steps {
		steps[i].needs = "extract --no-sync"
		steps[i].prepare = append(b.stored(), steps[i].prepare...)
	}
	return steps
}

// extractRemoteSteps lists the extractions from the registry, which has the
// shards as they are. The store is empty and stays so.
func (b *bench) extractRemoteSteps() []step {
	steps := []step{b.extractRemote(unsynced), b.extractRemote(synced), b.extractResumed()}
	for _, p := range b.peers {
		if p.name != "kit" {
			steps = append(steps, b.extractBesidePeer(p))
		}
	}
	return b.published(steps, "extract --no-sync")
}

func (b *bench) extractStored(d durability) step {
	return step{name: "extract-store" + d.suffix(), tare: b.extracting(ref, d, "weights"), floor: b.copyBesideHash(d)}
}

// extractUnchanged finds all as it left it.
func (b *bench) extractUnchanged(d durability) step {
	again := b.extract(ref, d)
	return step{
		name:    "extract-unchanged" + d.suffix(),
		mayRead: noContent,
		prepare: []action{b.removeOut, b.command(b.path("home"), again), settle},
		tare:    side{home: b.path("home"), commands: [][]string{again}, after: []action{b.check("weights", b.path("out"))}},
	}
}

// extractChanged goes from one version to the next. It is held against an extract
// of that into a new directory.
func (b *bench) extractChanged(d durability) step {
	whole := b.extracting(changedRef, d, "changed")
	update := whole
	update.setup = append(slices.Clone(whole.setup), b.command(whole.home, b.extract(ref, unsynced)), settle)
	return step{
		name: "extract-one-changed" + d.suffix(),
		prepare: []action{
			b.empty(b.path("floor-home")), // room on the disk
			b.makeChanged,
			b.command(whole.home, []string{b.tare, "build", "-t", changedRef, b.path("changed")}),
		},
		tare:  update,
		floor: whole,
	}
}

func (b *bench) extractRemote(d durability) step {
	return step{
		name:  "extract-registry" + d.suffix(),
		tare:  b.extractingFrom(b.directly, d),
		floor: b.curls(b.directly, d),
	}
}

// extractResumed times what is left to do after a kill, beside a whole extract.
func (b *bench) extractResumed() step {
	whole := b.counted(b.extractingFrom(b.viaProxy, unsynced), b.through(netproxy.Options{}))
	return step{name: "extract-resume", tare: b.resumed(whole), floor: whole}
}

// extractBesidePeer has another program for a floor that puts the files of the
// same artifact into a directory.
func (b *bench) extractBesidePeer(p peer) step {
	home, out := b.path("floor-home"), b.path("floor-home", "out")
	late := func() [][]string {
		command := b.peerPull(p, refAt(b.directly()))
		if p.name == "modctl" {
			command = append(command, "--extract-dir", out, "--extract-from-remote")
		}
		return [][]string{command}
	}
	return step{
		name:  "extract-" + p.name,
		tare:  b.extractingFrom(b.directly, unsynced),
		floor: side{home: home, setup: []action{b.empty(home)}, late: late, after: []action{b.check("weights", out)}},
	}
}

// stored puts the model into a store.
func (b *bench) stored() []action {
	home := b.path("home")
	return []action{
		b.makeWeights,
		b.empty(home),
		b.command(home, []string{b.tare, "build", "-t", ref, b.path("weights")}),
	}
}

// extracting is tare's side: an extract into a directory that is not there, of
// what was packaged from another.
func (b *bench) extracting(ref string, d durability, packaged string) side {
	return side{
		home:     b.path("home"),
		setup:    []action{b.removeOut},
		commands: [][]string{b.extract(ref, d)},
		after:    []action{b.check(packaged, b.path("out")), b.removeOut},
	}
}

// extractingFrom has nothing but a registry to extract from.
func (b *bench) extractingFrom(host func() string, d durability) side {
	s := b.extracting("", d, "weights")
	s.setup = append(s.setup, b.empty(s.home))
	s.commands = nil
	s.late = func() [][]string { return [][]string{b.extract(refAt(host()), d)} }
	return s
}

func (b *bench) extract(ref string, d durability) []string {
	command := []string{b.tare, "extract", ref, b.path("out")}
	if d == unsynced {
		command = append(command, "--no-sync")
	}
	return command
}

func (d durability) suffix() string {
	if d == synced {
		return "-sync"
	}
	return ""
}

func (b *bench) removeOut(context.Context) error { return os.RemoveAll(b.path("out")) }

// check refuses figures of an extract that did something else.
func (b *bench) check(packaged, out string) action {
	return func(ctx context.Context) error {
		for i := range b.shards {
			name := filepath.Base(b.shard(i))
			compare := b.command("", []string{"cmp", "-n", compared, b.path(packaged, name), filepath.Join(out, name)})
			if err := compare(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}
