package disk

import "os"

// writebackEvery is how many bytes are written before the disk is asked to
// begin with them.
const writebackEvery = 16 << 20

// Writer writes to a file and has the disk begin early.
type Writer struct {
	File *os.File
	// Lazy leaves it to the system when to begin: for those who will not wait for
	// the disk.
	Lazy bool

	n int64 // bytes since it was last asked
}

// Write implements [io.Writer].
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.File.Write(p)
	if w.n += int64(n); !w.Lazy && w.n >= writebackEvery {
		w.n = 0
		StartWriteback(w.File)
	}
	return n, err
}
