package cmd

import "testing"

func TestByteRate(t *testing.T) {
	for s, want := range map[string]byteRate{
		"1": 1, "512": 512, "512B": 512, "500K": 500 << 10, "500k": 500 << 10, "10M": 10 << 20, "10MB": 10 << 20, "10MiB": 10 << 20,
		"10Mi": 10 << 20, "1.5G": 3 << 29, "2T": 2 << 40, "0.5k": 512,
	} {
		var got byteRate
		if err := got.Set(s); err != nil || got != want {
			t.Errorf("%q is %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "0", "0.1", "-1", "M", "iB", "5iB", "5i", "1e6", "0x10", "1_000", "NaN", "Inf", "10M/s", "10 M", "99999999T"} {
		var got byteRate
		if err := got.Set(s); err == nil {
			t.Errorf("%q is %d, want an error", s, got)
		}
	}
}
