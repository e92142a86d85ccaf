package storage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/filelock"
)

// Blobs get their names without waiting for the disk. If the machine crashes
// before their content is there, a file of the right name and even of the right
// size may hold anything. So each session keeps a record of what it published: a
// directory <session>.<host> below .tare/unsynced, with an empty file for each
// blob. The record says what it has to say by names alone, since file systems
// keep names in order: if a crash left the blob its name, it left the record
// too.
//
// What a record of this host lists is fine: the host is the same machine since
// the same start, nothing was lost. What the record of another host lists is
// hashed before it counts as present. Records outlive their sessions, and are
// cleared once the content is known to be on disk.

// settled is how old a record must be before anybody waits for the disk because
// of it: by then the system has written all of it, and the wait is short.
const settled = time.Minute

// lostHost is the host of records whose content the disk refused.
const lostHost = "lost"

// host is what the boot rule needs to know of the machine.
type host struct {
	// id differs between machines and between boots. It is empty where that
	// cannot be told: then content is synced before it gets its name.
	id string
	// sync waits until the file system of dir, at least the files at paths, is
	// on disk.
	sync func(dir string, paths []string) error
}

// thisHost is the machine that we run on.
func thisHost() host { return host{id: disk.HostID(), sync: syncFiles} }

// record is the path of the record of a session of this host.
func (s *Store) record(session string) string {
	return filepath.Join(s.path(unsyncedDir), session+"."+s.host.id)
}

// note writes to the record of a session that d is about to get its name. On a
// host that cannot be told from others, it syncs the content instead.
func (s *Store) note(session string, d digest.Digest, content string) error {
	if s.host.id == "" {
		return syncFile(content)
	}
	dir := s.record(session)
	for {
		f, err := os.OpenFile(filepath.Join(dir, fileName(d)), os.O_WRONLY|os.O_CREATE, 0o644)
		if err == nil {
			return f.Close()
		}
		if !isNotExist(err) {
			return err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
}

// suspicions are the entries for d in the records of other hosts.
func (s *Store) suspicions(d digest.Digest) ([]string, error) {
	records, err := s.names(unsyncedDir)
	if err != nil {
		return nil, err
	}
	var entries []string
	for _, record := range records {
		if s.isOurs(record) {
			continue
		}
		entry := filepath.Join(s.path(unsyncedDir), record, fileName(d))
		if _, err := os.Lstat(entry); err == nil {
			entries = append(entries, entry)
		} else if !isNotExist(err) {
			return nil, err
		}
	}
	return entries, nil
}

// isOurs says whether a record is of this host.
func (s *Store) isOurs(record string) bool {
	return s.host.id != "" && strings.HasSuffix(record, "."+s.host.id)
}

// forget takes d off the records of other hosts: its file was verified, replaced
// or is gone. In a store that cannot be written to it stays there.
func (s *Store) forget(d digest.Digest) {
	entries, err := s.suspicions(d)
	if err != nil {
		return
	}
	for _, entry := range entries {
		os.Remove(entry)
		os.Remove(filepath.Dir(entry)) // if it was the last
	}
}

// checkTrust hashes f, the file of the blob d, if a crash may have damaged it.
// If it did, the file is set aside and the error is [blob.ErrMismatch].
func (s *Store) checkTrust(stop func() error, f *os.File, d digest.Digest) error {
	entries, err := s.suspicions(d)
	if err != nil || len(entries) == 0 {
		return err
	}
	err = s.rehash(stop, fromStart(f), d)
	if isMismatch(err) {
		return s.damaged(stop, f, d, err)
	}
	if err == nil {
		s.trust(f, d)
	}
	return err
}

// trust takes d off the records of other hosts, once f, its verified file, is on
// the disk: what was hashed may have been another host's dirty pages, as those of
// a container on the same kernel are.
func (s *Store) trust(f *os.File, d digest.Digest) {
	entries, err := s.suspicions(d)
	if err == nil && len(entries) > 0 && f.Sync() == nil {
		s.forget(d)
	}
}

// settle waits for the disk in the name of sessions of this host that have
// ended, and clears their records.
func (s *Store) settle() error {
	all, err := s.names(unsyncedDir)
	if err != nil {
		return err
	}
	var records, paths []string
	for _, name := range all {
		if !s.isOurs(name) || !s.hasEnded(name) {
			continue
		}
		record := filepath.Join(s.path(unsyncedDir), name)
		records = append(records, record)
		paths = append(paths, s.recorded(record)...)
	}
	if len(records) == 0 {
		return nil
	}
	if s.host.sync(s.dir, paths) != nil {
		for _, record := range records {
			distrust(record)
		}
		return nil // those who need the content will see what became of it
	}
	var errs []error
	for _, record := range records {
		errs = append(errs, os.RemoveAll(record))
	}
	return errors.Join(errs...)
}

// hasEnded says whether the session of a record has ended, and not just now.
func (s *Store) hasEnded(record string) bool {
	info, err := os.Stat(filepath.Join(s.path(unsyncedDir), record))
	if err != nil || time.Since(info.ModTime()) < settled {
		return false
	}
	session, _, _ := strings.Cut(record, ".")
	path := filepath.Join(s.path(sessionsDir), session)
	if _, err := os.Stat(path); isNotExist(err) {
		return true
	}
	lock, err := filelock.TryAcquire(path, filelock.Exclusive)
	if err != nil {
		return false
	}
	return lock.Remove() == nil
}

// recorded lists the files of the blobs of a record.
func (s *Store) recorded(record string) []string {
	entries, _ := os.ReadDir(record)
	var paths []string
	for _, e := range entries {
		if path, err := s.blobPath(fileDigest(e.Name())); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

// distrust makes a record one of another host.
func distrust(record string) error {
	session, _, _ := strings.Cut(filepath.Base(record), ".")
	return os.Rename(record, filepath.Join(filepath.Dir(record), session+"."+lostHost))
}

// Sync waits until all that the session wrote or relies on is on disk, as far
// as it is there. Without it blobs get there when the system sees fit; tags do
// not need it.
func (ss *Session) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	paths, err := ss.reliedPaths()
	if err != nil {
		return err
	}
	record := ss.store.record(ss.id)
	entries, err := os.ReadDir(record) // what is published from now on stays
	if err != nil && !isNotExist(err) {
		return err
	}
	if err := ss.store.host.sync(ss.store.dir, paths); err != nil {
		return errors.Join(err, ignoreNotExist(distrust(record)))
	}
	return clearEntries(record, entries)
}

// reliedPaths are the files of the blobs that the session relies on.
func (ss *Session) reliedPaths() ([]string, error) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.file == nil {
		return nil, errClosed
	}
	paths := make([]string, 0, len(ss.relied))
	for d := range ss.relied {
		path, err := ss.store.blobPath(d)
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// clearEntries removes entries of a record, and the record if they were all.
func clearEntries(record string, entries []fs.DirEntry) error {
	var errs []error
	for _, e := range entries {
		errs = append(errs, ignoreNotExist(os.Remove(filepath.Join(record, e.Name()))))
	}
	os.Remove(record)
	return errors.Join(errs...)
}
