package registry

import "fmt"

// custody is what became of the bytes that a registry got, as far as no network
// can be blamed. A connection that is cut may cost all that was sent before it,
// and does so at some registries. One that takes bytes in good order and does not
// have them is not going to keep them the next time either.
type custody struct {
	taken   int64 // the registry said that it has so many
	refused int64 // it got so many since, and did not want them
	cut     bool  // a body did not get through since

	times  int   // that something was missing
	most   int64 // bytes, at one time
	wasted int64 // bytes in all, refused ones too
}

// found compares what was taken with the n bytes that are there.
func (c *custody) found(n int64) {
	missing := max(0, c.taken-n)
	if !c.cut {
		c.wasted += missing + c.refused
	}
	if !c.cut && missing > 0 {
		c.times++
		c.most = max(c.most, missing)
	}
	c.taken, c.refused, c.cut = n, 0, false
}

// exhausted says that to send a blob of this size once more would be the fourth
// time.
func (c *custody) exhausted(size int64) bool { return c.wasted+c.refused > 2*size }

// broken is an error if a registry has lost too much of a blob of this size. Why is
// how that showed the last time.
func (c *custody) broken(size int64, why string) error {
	if c.times == 0 || !c.exhausted(size) {
		return nil
	}
	return &problem{
		text: fmt.Sprintf("the registry accepted %d bytes of %d and has lost them again, %d times, though no connection was cut: %s", c.most, size, c.times, why),
		hint: "the log of the registry says more: its disk may be full, or several instances behind one name may each have a storage of their own",
	}
}
