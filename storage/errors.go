package storage

import (
	"errors"
	"io/fs"
	"strings"
)

// hintError is an error together with what its reader can do about it.
type hintError struct {
	err  error
	hint string
}

// Error implements error.
func (e *hintError) Error() string { return e.err.Error() }

// Unwrap is the error without its hint.
func (e *hintError) Unwrap() error { return e.err }

// Hint says what to do next, in one sentence.
func (e *hintError) Hint() string { return e.hint }

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// ignoreNotExist is err unless it says that a file is not there.
func ignoreNotExist(err error) error {
	if isNotExist(err) {
		return nil
	}
	return err
}

// shellQuote writes path so that it can be pasted into a shell.
func shellQuote(path string) string {
	plain := func(r rune) bool {
		return r < 0x80 && strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%", r)
	}
	if path != "" && strings.IndexFunc(path, func(r rune) bool { return !plain(r) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
