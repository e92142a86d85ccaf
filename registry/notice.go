package registry

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// noticeable is how long a wait has to be for somebody to wonder about it.
	noticeable = 3 * time.Second

	// noticeEvery is how often the same server is talked about at most.
	noticeEvery = 10 * time.Second
)

type noticeKey struct{}

// WithNotice has whoever waits told why: notice is called, from several goroutines
// at once, with a line of text before each wait of more than some seconds.
func WithNotice(ctx context.Context, notice func(text string)) context.Context {
	return context.WithValue(ctx, noticeKey{}, notice)
}

// notices says why work waits, and not all the time.
type notices struct {
	mu   sync.Mutex
	last map[string]time.Time // by server
}

// waiting tells whoever ctx says of a wait for a server.
func (n *notices) waiting(ctx context.Context, server string, wait time.Duration, why string) {
	notice, ok := ctx.Value(noticeKey{}).(func(string))
	if !ok || wait < noticeable || !n.due(server) {
		return
	}
	notice(fmt.Sprintf("%s: %s; trying again in %s", server, why, wait.Round(time.Second)))
}

func (n *notices) due(server string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if last, ok := n.last[server]; ok && now.Sub(last) < noticeEvery {
		return false
	}
	if n.last == nil {
		n.last = map[string]time.Time{}
	}
	n.last[server] = now
	return true
}
