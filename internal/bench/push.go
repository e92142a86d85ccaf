package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/tareml/tare/internal/netproxy"
)

// noBodies is more than a push sends that sends no blob, and less than any shard
// has: the heads of its requests, and a manifest.
const noBodies = 64 << 10

// pushSteps lists the pushes: to a registry that has nothing before each, of
// shards as they are, which a store has or a build reads.
func (b *bench) pushSteps() []step {
	pushes := []step{
		b.push(),
		b.repush(),
		b.pushCut(),
		b.pushResumed(),
	}
	builds := []step{b.buildPush()}
	for _, p := range b.peers {
		if p.name != "oras" { // which has no store to push from
			pushes = append(pushes, b.pushBesidePeer(p))
		}
		builds = append(builds, b.buildPushBesidePeer(p))
	}
	return append(b.delivering(pushes, "push", b.buildRaw), b.delivering(builds, "build --push")...)
}

// delivering has steps find a registry, and what else they need.
func (b *bench) delivering(steps []step, needs string, prepare ...action) []step {
	for i := range steps {
		steps[i].needs = needs
		steps[i].skip = b.missing()
		steps[i].sends = true
		steps[i].prepare = slices.Concat([]action{b.makeWeights, b.serve}, prepare, steps[i].prepare)
	}
	return steps
}

// push is held against one upload a shard, all at once.
func (b *bench) push() step {
	return step{name: "push", prepare: []action{b.hashShards}, tare: b.pushing(), floor: b.curlPushes()}
}

// repush finds all blobs there, and must not send one.
func (b *bench) repush() step {
	again := b.pushingThrough(netproxy.Options{})
	again.setup = again.setup[1:] // the registry stays as it is
	again.wire = b.sentNoBodies
	return step{
		name:    "repush",
		prepare: []action{b.emptyRegistry, b.tagAt(b.directly), b.pushNow},
		tare:    again,
	}
}

// pushCut has two connections cut when more than half of the bytes have passed. It
// is held against the same push without cuts.
func (b *bench) pushCut() step {
	at := b.size / 10 * 6
	return step{
		name:  "push-cuts",
		tare:  b.pushingThrough(netproxy.Options{Cuts: []netproxy.Cut{{After: at}, {After: at, Reset: true}}}),
		floor: b.pushingThrough(netproxy.Options{}),
	}
}

// pushResumed times what is left to do after a kill, beside a whole push.
func (b *bench) pushResumed() step {
	whole := b.pushingThrough(netproxy.Options{})
	return step{name: "push-resume", tare: b.resumed(whole), floor: whole}
}

// buildPush keeps nothing. It is held against uploads of the shards beside hashes
// of them, with nothing waiting for anything else: who did not know the digests
// before would have to wait.
func (b *bench) buildPush() step {
	uploads := b.curlPushes()
	both := uploads
	both.late = func() [][]string { return append(uploads.late(), b.hashes()...) }
	return step{name: "build-push", prepare: []action{b.hashShards}, tare: b.buildingPush(), floor: both}
}

// pushMemoryStep pushes a file of zeros.
func (b *bench) pushMemoryStep(times int64) step {
	home := b.path("home")
	s := step{
		name: fmt.Sprintf("push-sparse-%dx", times),
		once: true,
		prepare: []action{
			func(context.Context) error { return b.makeSparse(times * b.size) },
			b.empty(home),
			b.command(home, []string{b.tare, "build", "--raw", "-t", ref, b.path("sparse")}),
		},
		tare: b.pushing(),
	}
	s.tare.after = []action{b.emptyRegistry, b.empty(home)} // room on the disk
	return b.delivering([]step{s}, "push")[0]
}

// buildRaw has the store hold the shards as they are.
func (b *bench) buildRaw(ctx context.Context) error {
	home := b.path("home")
	return perform(ctx, []action{
		b.empty(home),
		b.command(home, []string{b.tare, "build", "--raw", "-t", ref, b.path("weights")}),
	})
}

// pushing is tare's side.
func (b *bench) pushing() side {
	return side{
		home:  b.path("home"),
		setup: []action{b.emptyRegistry, b.tagAt(b.directly)},
		late:  func() [][]string { return [][]string{b.pushTo(b.directly)} },
	}
}

// pushingThrough is pushing through a network, which counts what is sent.
func (b *bench) pushingThrough(o netproxy.Options) side {
	o.Up = true
	return side{
		home:  b.path("home"),
		setup: []action{b.emptyRegistry, b.through(o), b.tagAt(b.viaProxy)},
		late:  func() [][]string { return [][]string{b.pushTo(b.viaProxy)} },
		wire:  b.sent,
	}
}

// buildingPush starts with an empty home as well, and needs no store.
func (b *bench) buildingPush() side {
	home := b.path("home")
	return side{
		home:  home,
		setup: []action{b.emptyRegistry, b.empty(home)},
		late: func() [][]string {
			return [][]string{{b.tare, "build", "--push", "--raw", "-t", refAt(b.directly()), b.path("weights")}}
		},
	}
}

func (b *bench) pushTo(host func() string) []string {
	return []string{b.tare, "push", refAt(host())}
}

func (b *bench) pushNow(ctx context.Context) error {
	return b.command(b.path("home"), b.pushTo(b.directly))(ctx)
}

// tagAt names the model after where it goes.
func (b *bench) tagAt(host func() string) action {
	return func(ctx context.Context) error {
		return b.command(b.path("home"), []string{b.tare, "tag", ref, refAt(host())})(ctx)
	}
}

// emptyRegistry takes all content away from the registry, which looks at its files
// with each request. A new repository would not do: a blob that another one has is
// not written again.
func (b *bench) emptyRegistry(context.Context) error {
	b.remote.layers = nil
	return os.RemoveAll(b.path("registry"))
}

// sentNoBodies is sent, and refuses more than heads of requests.
func (b *bench) sentNoBodies(ctx context.Context) (int64, error) {
	n, err := b.sent(ctx)
	if err == nil && n > noBodies {
		return n, fmt.Errorf("%d bytes were sent to a registry that has all blobs", n)
	}
	return n, err
}

// hashShards learns the digests that the floor of a push has to name.
func (b *bench) hashShards(ctx context.Context) error {
	if len(b.digests) > 0 {
		return nil
	}
	for i := range b.shards {
		hash := sha256.New()
		f, err := os.Open(b.shard(i))
		if err != nil {
			return err
		}
		err = b.copy(ctx, hash, f)
		f.Close()
		if err != nil {
			return err
		}
		b.digests = append(b.digests, "sha256:"+hex.EncodeToString(hash.Sum(nil)))
	}
	return nil
}

// curlPushes uploads each shard over one connection, all of them at once. That
// includes the request for a session, and the registry's check of the digest.
func (b *bench) curlPushes() side {
	const script = `at=$(curl -sSf --noproxy '*' -X POST -o /dev/null -D - "$1" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p') &&
curl -sSf --noproxy '*' -o /dev/null -H 'Content-Type: application/octet-stream' -H Expect: -T "$2" "$at&digest=$3"`
	late := func() [][]string {
		var all [][]string
		for i, digest := range b.digests {
			all = append(all, shell(script, fmt.Sprintf("http://%s/v2/%s/blobs/uploads/", b.directly(), repository), b.shard(i), digest))
		}
		return all
	}
	return side{home: b.path("floor-home"), setup: []action{b.emptyRegistry}, late: late}
}

// pushBesidePeer has the push of another program for a floor, of what it built
// itself.
func (b *bench) pushBesidePeer(p peer) step {
	home := b.path("floor-home")
	build := func(ctx context.Context) error {
		return b.command(home, b.peerBuild(p, "floor-home", b.peerRef()))(ctx)
	}
	return step{
		name:    "push-" + p.name,
		prepare: []action{b.empty(home), build},
		tare:    b.pushing(),
		floor: side{
			home:  home,
			setup: []action{b.emptyRegistry},
			late:  func() [][]string { return [][]string{b.peerPush(p, b.peerRef())} },
		},
	}
}

// buildPushBesidePeer has another program build and push for a floor, with a store
// in between if it needs one.
func (b *bench) buildPushBesidePeer(p peer) step {
	home := b.path("floor-home")
	late := func() [][]string {
		push := b.peerPush(p, b.peerRef())
		if p.name == "oras" {
			return [][]string{push}
		}
		return [][]string{inTurn(b.peerBuild(p, "floor-home", b.peerRef()), push)}
	}
	return step{
		name:  "build-push-" + p.name,
		tare:  b.buildingPush(),
		floor: side{home: home, setup: []action{b.emptyRegistry, b.empty(home)}, late: late},
	}
}

// inTurn is one command that runs two.
func inTurn(first, second []string) []string {
	return shell(quoted(first) + " && " + quoted(second))
}

// quoted is a command as a shell reads it.
func quoted(command []string) string {
	words := make([]string, len(command))
	for i, word := range command {
		words[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}

func (b *bench) peerRef() string { return b.remote.host + "/bench/peer:v1" }

func (b *bench) peerPush(p peer, ref string) []string {
	switch p.name {
	case "oras":
		command := []string{p.path, "push", "--plain-http", "--no-tty", "--disable-path-validation", ref}
		for i := range b.shards {
			command = append(command, b.shard(i))
		}
		return command
	case "kit":
		return []string{p.path, "push", "--plain-http", ref}
	default:
		return []string{p.path, "push", "--plain-http", "--storage-dir", b.path("floor-home", "modctl"),
			"--log-dir", b.path("floor-home", "logs"), ref}
	}
}
