package extract

import (
	"io/fs"
	"testing"
)

func TestModesFor(t *testing.T) {
	for _, test := range []struct{ mode, file, executable, dir fs.FileMode }{
		{0, 0o644, 0o755, 0o755},
		{0o644, 0o644, 0o755, 0o755},
		{0o640, 0o640, 0o750, 0o750},
		{0o600, 0o600, 0o700, 0o700},
		{0o660, 0o660, 0o770, 0o770},
		{0o604, 0o604, 0o705, 0o705},
		{0o622, 0o622, 0o722, 0o722},
		{0o755, 0o755, 0o755, 0o755},
		{0o777, 0o777, 0o777, 0o777},
		// the next version has to go into these directories, too
		{0o440, 0o440, 0o550, 0o750},
		{0o400, 0o400, 0o500, 0o700},
		// nothing beyond permissions
		{0o644 | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky | fs.ModeDevice, 0o644, 0o755, 0o755},
	} {
		if got := fileModeFor(test.mode, false); got != test.file {
			t.Errorf("%v: a file gets %v, want %v", test.mode, got, test.file)
		}
		if got := fileModeFor(test.mode, true); got != test.executable {
			t.Errorf("%v: an executable gets %v, want %v", test.mode, got, test.executable)
		}
		if got := dirModeFor(test.mode); got != test.dir {
			t.Errorf("%v: a directory gets %v, want %v", test.mode, got, test.dir)
		}
	}
}
