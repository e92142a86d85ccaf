package cmd

import (
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/registry"
)

// layerCounter tells an observer of layers as the artifact has them, where a
// transfer tells of blobs: of the config too, and once of one that is several
// layers.
type layerCounter struct {
	registry.Observer

	mu     sync.Mutex
	layers map[string]int // that are not complete, by the name of their blob
}

// Observe implements [registry.Observer].
func (c *layerCounter) Observe(phase, path string, safe, skipped, resumed int64) {
	if phase != registry.PhaseDone {
		c.Observer.Observe(phase, path, safe, skipped, resumed)
		return
	}
	for range c.take(path) {
		c.Observer.Observe(phase, path, 0, 0, 0)
	}
}

// take returns how many layers are complete with a blob, once: another blob may
// have the same name.
func (c *layerCounter) take(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.layers[name]
	delete(c.layers, name)
	return n
}

// layersByName counts the layers of art by what o calls their blobs: the first to
// name a blob has it called so.
func layersByName(art *artifact, o registry.TransferOptions) map[string]int {
	blobs := art.blobs()
	names := o.Plan(blobs)
	called := make(map[digest.Digest]string)
	layers := make(map[string]int)
	for i, desc := range blobs {
		if _, ok := called[desc.Digest]; !ok {
			called[desc.Digest] = names[i].Name
		}
		if i > 0 { // behind the config
			layers[called[desc.Digest]]++
		}
	}
	return layers
}
