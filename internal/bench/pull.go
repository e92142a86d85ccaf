package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/tareml/tare/internal/netproxy"
)

const (
	// perConnection is what the capped network passes, in bytes a second.
	perConnection = 100_000_000

	cuts = 8
)

// pullSteps lists the pulls. They fill a store that is empty before each, from a
// registry that has its files in the page cache.
func (b *bench) pullSteps() []step {
	steps := []step{
		b.pull(),
		b.pullCapped(),
		b.pullCut(),
		b.pullResumed(),
	}
	for _, p := range b.peers {
		steps = append(steps, b.pullBesidePeer(p))
	}
	return b.published(steps, "pull")
}

// published has steps find the model in the registry.
func (b *bench) published(steps []step, needs string) []step {
	for i := range steps {
		steps[i].needs = needs
		steps[i].skip = b.missing()
		steps[i].prepare = append([]action{b.makeWeights, b.publish}, steps[i].prepare...)
	}
	return steps
}

// pull is held against one connection a layer, hashed and stored as it comes.
func (b *bench) pull() step {
	return step{name: "pull", tare: b.pulling(b.directly), floor: b.curls(b.directly, unsynced)}
}

// pullCapped has a network that is slow for each connection, as object stores
// are, and the floor has as many as there are shards.
func (b *bench) pullCapped() step {
	capped := b.through(netproxy.Options{Rate: perConnection})
	return step{
		name:  "pull-capped",
		tare:  b.counted(b.pulling(b.viaProxy), capped),
		floor: b.counted(b.curls(b.viaProxy, unsynced), capped),
	}
}

// pullCut is held against the same pull without cuts.
func (b *bench) pullCut() step {
	return step{
		name:  "pull-eight-cuts",
		tare:  b.counted(b.pulling(b.viaProxy), b.through(netproxy.Options{Cuts: spread(cuts, b.size)})),
		floor: b.counted(b.pulling(b.viaProxy), b.through(netproxy.Options{})),
	}
}

// pullResumed times what is left to do after a kill, beside a whole pull.
func (b *bench) pullResumed() step {
	whole := b.counted(b.pulling(b.viaProxy), b.through(netproxy.Options{}))
	return step{name: "pull-resume", tare: b.resumed(whole), floor: whole}
}

// resumed has a side go on after a kill.
func (b *bench) resumed(s side) side {
	killed := b.killHalfway(s.home, func() []string { return s.late()[0] })
	s.setup = append(slices.Clone(s.setup), killed)
	return s
}

// pullBesidePeer has the pull of another program for a floor.
func (b *bench) pullBesidePeer(p peer) step {
	home := b.path("floor-home")
	s := step{name: "pull-" + p.name, tare: b.pulling(b.directly)}
	s.floor = side{
		home:  home,
		setup: []action{b.empty(home)},
		late:  func() [][]string { return [][]string{b.peerPull(p, refAt(b.directly()))} },
	}
	if p.name == "kit" {
		s.prepare = []action{b.publishKit(p)}
		s.floor.late = func() [][]string { return [][]string{b.peerPull(p, b.kitRef())} }
	}
	return s
}

func (b *bench) peerPull(p peer, ref string) []string {
	switch p.name {
	case "oras":
		return []string{p.path, "pull", "--plain-http", "--no-tty", "-o", b.path("floor-home", "out"), ref}
	case "kit":
		return []string{p.path, "pull", "--plain-http", ref}
	default:
		return []string{p.path, "pull", "--plain-http", "--storage-dir", b.path("floor-home", "modctl"),
			"--log-dir", b.path("floor-home", "logs"), ref}
	}
}

func (b *bench) kitRef() string { return b.remote.host + "/bench/kit:v1" }

// publishKit pushes the model as kit packs it, which pulls nothing else.
func (b *bench) publishKit(p peer) action {
	return func(ctx context.Context) error {
		home := b.path("floor-home")
		return perform(ctx, []action{
			b.empty(home),
			b.command(home, b.peerBuild(p, "floor-home", b.kitRef())),
			b.command(home, b.peerPush(p, b.kitRef())),
		})
	}
}

// directly and viaProxy are the hosts to pull from.
func (b *bench) directly() string { return b.remote.host }
func (b *bench) viaProxy() string { return b.remote.proxy.Addr() }

// pulling is tare's side.
func (b *bench) pulling(host func() string) side {
	home := b.path("home")
	return side{
		home:  home,
		setup: []action{b.empty(home)},
		late:  func() [][]string { return [][]string{{b.tare, "pull", refAt(host())}} },
	}
}

// curls fetches, stores and verifies each layer over one connection, all of them
// at once.
func (b *bench) curls(host func() string, d durability) side {
	script := `test "$(curl -sSf --noproxy '*' "$1" | tee "$2" | openssl dgst -sha256 -r | cut -c1-64)" = "$3"`
	if d == synced {
		script += ` && sync "$2"`
	}
	home := b.path("floor-home")
	late := func() [][]string {
		var all [][]string
		for i, l := range b.remote.layers {
			url := fmt.Sprintf("http://%s/v2/%s/blobs/%s", host(), repository, l.Digest)
			all = append(all, shell(script, url, b.path("floor-home", strconv.Itoa(i)), l.Digest[len("sha256:"):]))
		}
		return all
	}
	return side{home: home, setup: []action{b.empty(home)}, late: late}
}

// counted runs a side through a network, and counts what that passes.
func (b *bench) counted(s side, network action) side {
	s.setup = append(s.setup, network)
	s.wire = b.sent
	return s
}
