package cmd

import (
	"os"
	"path/filepath"

	"github.com/tareml/tare/registry"
	"github.com/tareml/tare/storage"
)

// journal is where uploads are remembered for a later command.
type journal struct{ *storage.Journal }

// newJournal is the user's journal, nil if there is no place for one.
func newJournal() registry.Journal {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil
	}
	return journal{storage.OpenJournal(filepath.Join(dir, "tare", "uploads"))}
}

// Claim implements [registry.Journal].
func (j journal) Claim(key string) registry.Claim {
	if entry := j.Journal.Claim(key); entry != nil {
		return entry
	}
	return nil
}
