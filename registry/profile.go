package registry

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// chunkSize is how many bytes of a blob are sent in one request, so that no
	// more have to be sent again after a cut.
	chunkSize = 64 << 20

	// minChunk is as small as chunks get for servers that refuse larger ones.
	minChunk = 4 << 20
)

// profile is what a registry is known to take.
type profile struct {
	name   string // for people
	hosts  *regexp.Regexp
	whole  bool  // a blob goes in one request
	layer  int64 // the most bytes of a layer, 0 if nobody knows
	layers int   // the most layers of an artifact, 0 if nobody knows
}

// profiles are the registries that differ from what the distribution spec says,
// or have limits.
func profiles() []profile {
	const mib, gib = 1 << 20, 1 << 30
	host := regexp.MustCompile
	return []profile{
		{name: "Amazon ECR", hosts: host(`\.dkr[.-]ecr(-fips)?\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn)$`),
			whole: true, layer: 52_000 * mib, layers: 500},
		{name: "Amazon ECR Public", hosts: host(`^(ecr-public\.aws\.com|public\.ecr\.aws)$`), whole: true, layer: 10_000 * mib, layers: 500},
		{name: "GHCR", hosts: host(`^ghcr\.io$`), whole: true, layer: 10e9},
		{name: "Google Artifact Registry", hosts: host(`(^|[.-])(docker\.pkg\.dev|gcr\.io)$`), whole: true},
		{name: "Azure Container Registry", hosts: host(`\.azurecr\.(io|cn|us)$`), layer: 200 * gib},
	}
}

// profileOf is what is known of a registry by its name.
func profileOf(registry string) profile {
	name, _, _ := strings.Cut(registry, ":")
	for _, p := range profiles() {
		if p.hosts.MatchString(name) {
			return p
		}
	}
	return profile{name: registry}
}

// habits are what was learnt of a registry.
type habits struct {
	// Whole says that it takes no chunks.
	Whole bool `json:"whole,omitempty"`

	// Chunk is the most that it takes at once, 0 if it took all so far.
	Chunk int64 `json:"chunk,omitempty"`

	// Chunks says that it took one.
	Chunks bool `json:"-"`

	// Forgets says that a cut cost what was sent before it.
	Forgets bool `json:"forgets,omitempty"`
}

// shrink makes chunks smaller, since one of n bytes was too large.
func (h *habits) shrink(n int64) {
	if h.Chunk == 0 || h.Chunk >= n {
		h.Chunk = max(n/4, minChunk)
	}
}

// habitsOf are those of a registry, from its profile and from what uploads have
// found out, in this process or before it.
func (c *Client) habitsOf(registry string) habits {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *c.heldHabits(registry)
}

// learn changes what is known of a registry.
func (c *Client) learn(registry string, change func(*habits)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c.heldHabits(registry))
}

// heldHabits are those of a registry, for callers that hold the mutex.
func (c *Client) heldHabits(registry string) *habits {
	if c.habits[registry] == nil {
		h := c.recall(registry)
		h.Whole = h.Whole || profileOf(registry).whole
		c.habits[registry] = &h
	}
	return c.habits[registry]
}

// recall is what the journal has of a registry.
func (c *Client) recall(registry string) (h habits) {
	if claim := c.claim("habits", registry); claim != nil {
		defer claim.Release(false)
		_ = json.Unmarshal(claim.Load(), &h)
	}
	if h.Chunk != 0 {
		h.Chunk = min(max(h.Chunk, minChunk), chunkSize)
	}
	return h
}

// keepHabits has the journal keep what was learnt of a registry. It is for when a
// blob has arrived that way: a refusal alone may have had another reason.
func (c *Client) keepHabits(registry string) {
	h := c.habitsOf(registry)
	h.Chunks = false // which is for this process alone
	h.Whole = h.Whole && !profileOf(registry).whole
	if h == (habits{}) {
		return
	}
	claim := c.claim("habits", registry)
	if claim == nil {
		return
	}
	defer claim.Release(false)
	if data, err := json.Marshal(h); err == nil && string(data) != string(claim.Load()) {
		claim.Save(data)
	}
}

// Planned is a layer that is going to be pushed.
type Planned struct {
	Name string // for people
	Size int64  // in bytes
	// Packing says that Size is what the layer has before it is compressed.
	Packing bool
	// Bundle says that the layer is several files that need not be in one.
	Bundle bool
}

// Plan lists layers under the names that o has for them.
func (o TransferOptions) Plan(layers []ocispec.Descriptor) []Planned {
	all := make([]Planned, len(layers))
	for i, desc := range layers {
		all[i] = Planned{Name: o.name(desc), Size: desc.Size}
	}
	return all
}

// Preflight says what will not work, before anything is sent: a layer that is
// larger than the registry takes, or too many of them. How large a layer is that has
// yet to be compressed is for [Repository.CheckLayer] to judge.
//
// The note is for whoever waits for the push: what an interruption costs where it
// costs more than elsewhere, with so many blobs sent at once. It is empty if there is
// nothing to say.
func (r *Repository) Preflight(layers []Planned, atOnce int) (note string, err error) {
	p := profileOf(r.ref.Registry)
	if p.layers > 0 && len(layers) > p.layers {
		return "", hinted(fmt.Errorf("%d layers, and %s takes no more than %d", len(layers), p.name, p.layers),
			"put many small files into one layer: tare build --bundle code,dataset,doc")
	}
	layers = slices.SortedStableFunc(slices.Values(layers), func(a, b Planned) int { return cmp.Compare(b.Size, a.Size) })
	for _, l := range layers {
		if err := r.CheckLayer(l); err != nil {
			return "", err
		}
	}
	return r.costOfCut(p, layers[:min(max(atOnce, 1), len(layers))]), nil
}

// CheckLayer is an error if a layer is larger than the registry takes. One that has
// yet to be compressed never is.
func (r *Repository) CheckLayer(l Planned) error {
	p := profileOf(r.ref.Registry)
	if p.layer == 0 || l.Size <= p.layer || l.Packing {
		return nil
	}
	hint := "save the model in smaller shards, such as save_pretrained(…, max_shard_size=\"5GB\"), and build again"
	if l.Bundle {
		hint = "leave --bundle out and build again: each file is a layer then"
	}
	return hinted(fmt.Errorf("%s is a layer of %s, and %s takes no more than %s", l.Name, shownSize(l.Size), p.name, shownSize(p.layer)), hint)
}

// costOfCut says what an interruption costs of the layers, of which the first is the
// largest, where that is more than a chunk.
func (r *Repository) costOfCut(p profile, layers []Planned) string {
	h := r.client.habitsOf(r.ref.Registry)
	if !h.Whole && !h.Forgets || len(layers) == 0 || layers[0].Size <= chunkSize {
		return ""
	}
	var bytes int64
	for _, l := range layers {
		bytes += l.Size
	}
	return fmt.Sprintf("an interruption costs up to %s, as %s keeps no part of a layer", shownSize(bytes), p.name)
}
