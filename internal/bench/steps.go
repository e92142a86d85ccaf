package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// step is one line of the table.
type step struct {
	name string
	// needs is a command, or a command and a flag, without which the step is
	// skipped.
	needs   string
	skip    string   // why the step cannot be run at all
	once    bool     // one run is enough
	mayRead int64    // the most bytes that tare has a reason to read, 0 for no limit
	sends   bool     // tare sends the model; otherwise it is sent it
	prepare []action // once, before the first run
	tare    side
	floor   side // without commands if there is none
}

// action prepares something. Its time does not count.
type action func(context.Context) error

// side is one of the two that a step compares.
type side struct {
	home     string     // a directory for the store and caches of its commands
	setup    []action   // before each run
	after    []action   // after each run that went well
	commands [][]string // run at once; the time is that of the slowest

	// late is in place of commands that are only known when all is prepared.
	late func() [][]string

	// wire counts the bytes that a run was sent, or sent, after it; nil if nobody
	// can.
	wire func(context.Context) (int64, error)
}

func (s side) isNone() bool { return len(s.commands) == 0 && s.late == nil }

// ref is the name of all that is built.
const ref = "localhost/bench/model:v1"

// steps lists all that can be measured.
func (b *bench) steps() []step {
	home, floorHome := b.path("home"), b.path("floor-home")
	weights, small := b.path("weights"), b.path("small")
	build := []string{b.tare, "build", "-t", ref, weights}
	steps := []step{{
		name:    "build",
		prepare: []action{b.makeWeights},
		tare:    side{home: home, setup: []action{b.empty(home)}, commands: [][]string{build}},
		floor:   b.copyBesideHash(unsynced),
	}, {
		name:    "build-durable",
		needs:   "build --durable",
		prepare: []action{b.makeWeights},
		tare:    side{home: home, setup: []action{b.empty(home)}, commands: [][]string{append(slices.Clone(build), "--durable")}},
		floor:   side{home: floorHome, setup: []action{b.empty(floorHome)}, commands: [][]string{copySynced(weights, b.path("floor-home", "copy"))}},
	}, {
		name:    "rebuild-unchanged",
		prepare: []action{b.makeWeights, b.empty(home), b.command(home, build)},
		tare:    side{home: home, commands: [][]string{build}},
	}, {
		name:    "rebuild-one-changed",
		prepare: []action{b.makeWeights, b.empty(home), b.command(home, build)},
		tare:    side{home: home, setup: []action{b.rewriteShard}, commands: [][]string{build}},
		floor:   side{home: floorHome, setup: []action{b.empty(floorHome)}, commands: [][]string{build}},
	}, {
		name:    "verify",
		needs:   "verify",
		prepare: []action{b.makeWeights, b.empty(home), b.command(home, build)},
		tare:    side{home: home, commands: [][]string{{b.tare, "verify"}}},
		floor:   side{home: floorHome, commands: b.hashes()},
	}, {
		name:    "small-files",
		prepare: []action{b.makeSmallFiles},
		tare:    side{home: home, setup: []action{b.empty(home)}, commands: [][]string{{b.tare, "build", "--bundle", "dataset", "-t", ref, small}}},
		floor:   side{home: floorHome, commands: [][]string{shell(`tar c "$1" | openssl dgst -sha256`, small)}},
	}, b.generateStep(), {
		name: "version",
		tare: side{home: home, commands: [][]string{{b.tare, "version"}}},
	}}
	steps = slices.Concat(steps, b.extractSteps(), b.pullSteps(), b.extractRemoteSteps(), b.pushSteps())
	for _, p := range b.peers {
		if p.name != "oras" {
			steps = append(steps, b.peerStep(p))
		}
	}
	if b.big {
		steps = append(steps, b.memoryStep(1), b.memoryStep(10), b.pushMemoryStep(1), b.pushMemoryStep(10))
	}
	return steps
}

// copyBesideHash is what a build and an extract come down to: each byte copied
// once and hashed once, with nothing waiting for anything else.
func (b *bench) copyBesideHash(d durability) side {
	home := b.path("floor-home")
	from, to := b.path("weights"), b.path("floor-home", "copy")
	command := []string{"cp", "-r", "--reflink=never", from, to}
	if d == synced {
		command = copySynced(from, to)
	}
	return side{home: home, setup: []action{b.empty(home)}, commands: append(b.hashes(), command)}
}

// durability says whether a side waits until the disk has what it wrote.
type durability bool

const (
	unsynced durability = false
	synced   durability = true
)

// hashes is one process a shard.
func (b *bench) hashes() [][]string {
	var all [][]string
	for i := range b.shards {
		all = append(all, []string{"openssl", "dgst", "-sha256", b.shard(i)})
	}
	return all
}

// copySynced copies a directory and waits until the copy is on the disk.
func copySynced(from, to string) []string {
	return shell(`cp -r --reflink=never "$1" "$2" && sync -f "$2"`, from, to)
}

func shell(script string, args ...string) []string {
	return append([]string{"sh", "-c", script, "sh"}, args...)
}

// peerStep times the build of another program, against the same floor.
func (b *bench) peerStep(p peer) step {
	home := b.path("home")
	return step{
		name:    p.name + "-build",
		prepare: []action{b.makeWeights},
		tare:    side{home: home, setup: []action{b.empty(home)}, commands: [][]string{b.peerBuild(p, "home", ref)}},
		floor:   b.copyBesideHash(unsynced),
	}
}

// peerBuild is how kit and modctl build the model. modctl asks the system for its
// home, not the environment.
func (b *bench) peerBuild(p peer, home, ref string) []string {
	weights := b.path("weights")
	if p.name == "kit" {
		return []string{p.path, "pack", "-t", ref, weights}
	}
	return []string{p.path, "build", "--storage-dir", b.path(home, "modctl"), "--log-dir", b.path(home, "logs"),
		"-t", ref, "-f", b.path("weights", "Modelfile"), weights}
}

// memoryStep builds a file of zeros that takes no space before it is built.
func (b *bench) memoryStep(times int64) step {
	home, dir := b.path("home"), b.path("sparse")
	size := times * b.size
	return step{
		name:    fmt.Sprintf("sparse-%dx", times),
		once:    true,
		prepare: []action{func(context.Context) error { return b.makeSparse(size) }},
		tare:    side{home: home, setup: []action{b.empty(home)}, commands: [][]string{{b.tare, "build", "-t", ref, dir}}},
	}
}

// selected are the steps that the user asked for.
func (b *bench) selected() ([]step, error) {
	all := b.steps()
	if len(b.only) == 0 {
		return all, nil
	}
	var names []string
	for _, s := range all {
		names = append(names, s.name)
	}
	for _, name := range b.only {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("no step %q: there are %s", name, strings.Join(names, ", "))
		}
	}
	return slices.DeleteFunc(all, func(s step) bool { return !slices.Contains(b.only, s.name) }), nil
}
