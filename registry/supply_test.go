package registry

import (
	"fmt"
	"testing"
)

func FuzzParseContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-0/1", "bytes 5-9/10", "bytes */10", "bytes 0-9/*", "bytes 9-5/10", "bytes -1-2/3", "bytes 0-9223372036854775807/9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, total, ok := parseContentRange(s)
		if ok && (e.Start < 0 || e.Start >= e.End || e.End > total) {
			t.Errorf("%q is %v of %d", s, e, total)
		}
		if !ok {
			return
		}
		if e2, total2, ok := parseContentRange(fmt.Sprintf("bytes %d-%d/%d", e.Start, e.End-1, total)); !ok || e2 != e || total2 != total {
			t.Errorf("%q is %v of %d, and then %v of %d", s, e, total, e2, total2)
		}
	})
}
