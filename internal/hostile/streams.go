package hostile

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/modelpack"
)

// noise is n bytes that nothing compresses.
func noise(n int) []byte {
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{'t', 'a', 'r', 'e'}).Read(data)
	return data
}

// streams are layers that end too early or too late, or are not what they are
// said to be. Their digests are right.
func streams() []Case {
	const a = "model.bin"
	content := string(noise(100 * kib))
	plain := archive(file(a, content))
	z, s := gzipped(once(plain)), zstandard(plain)
	whole := map[modelpack.Format][]byte{modelpack.Tar: plain, modelpack.TarGzip: z, modelpack.TarZstd: s}
	random := noise(2 * mib)
	var cases []Case
	for f, data := range whole {
		of := func(name string, data []byte) {
			cases = append(cases,
				refused(name+", "+string(f), blobOf(f, a, data).declaring(int64(len(content)))),
				refused(name+", "+string(f)+", nothing declared", blobOf(f, "", data)))
		}
		of("nothing", nil)
		of("one byte", data[:1])
		of("cut in its first block", data[:300])
		of("cut in the middle", data[:len(data)/2])
		of("something else", random[:10*kib])
		of("zeros", make([]byte, 10*kib))
		of("megabytes of garbage behind it", append(bytes.Clone(data), random...))
	}
	for f, other := range map[modelpack.Format]modelpack.Format{
		modelpack.Tar: modelpack.TarGzip, modelpack.TarGzip: modelpack.TarZstd, modelpack.TarZstd: modelpack.Tar,
	} {
		cases = append(cases, refused(string(other)+" called "+string(f), blobOf(f, a, whole[other])))
	}
	return append(cases, compressedStreams(z, s, random)...)
}

func compressedStreams(z, s, random []byte) []Case {
	const a = "model.bin"
	method := flip(2)(bytes.Clone(z))
	littered := append(archive(file(a, "x")), random...)
	return []Case{
		refused("gzip without its checksum", blobOf(modelpack.TarGzip, a, z[:len(z)-8])),
		refused("gzip with half of its checksum", blobOf(modelpack.TarGzip, a, z[:len(z)-6])),
		refused("gzip with a wrong checksum", blobOf(modelpack.TarGzip, a, flip(len(z)-8)(bytes.Clone(z)))),
		refused("gzip with a wrong size", blobOf(modelpack.TarGzip, a, flip(len(z)-1)(bytes.Clone(z)))),
		refused("gzip by an unknown method", blobOf(modelpack.TarGzip, a, method)),
		refused("gzip with a broken member behind it", blobOf(modelpack.TarGzip, a, append(bytes.Clone(z), z[:20]...))),
		refused("gzip with megabytes of garbage within", blobOf(modelpack.TarGzip, a, gzipped(once(littered)))),
		refused("zstd without its checksum", blobOf(modelpack.TarZstd, a, s[:len(s)-4])),
		refused("zstd with a wrong checksum", blobOf(modelpack.TarZstd, a, flip(len(s)-1)(bytes.Clone(s)))),
		refused("zstd with a broken frame behind it", blobOf(modelpack.TarZstd, a, append(bytes.Clone(s), s[:20]...))),
		refused("zstd with megabytes of garbage within", blobOf(modelpack.TarZstd, a, zstandard(littered))),
		refused("zstd with a reserved block", blobOf(modelpack.TarZstd, a, []byte("\x28\xb5\x2f\xfd\x00\x38\x07\x00\x00"))),
	}
}

// flip turns a bit of the byte at i over.
func flip(i int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[i] ^= 1
		return b
	}
}

// cut leaves the last byte out.
func cut(b []byte) []byte { return b[:len(b)-1] }

// stretch adds a byte.
func stretch(b []byte) []byte { return append(b, 0) }

// digests are layers that are not what their descriptors promise, and
// descriptors that promise what cannot be.
func digests() []Case {
	const a = "model.bin"
	content := strings.Repeat("weights", 1000)
	plain := tarred(a, file(a, content)).declaring(int64(len(content)))
	z := blobOf(modelpack.TarGzip, a, gzipped(once(plain.data))).declaring(int64(len(content)))
	s := blobOf(modelpack.TarZstd, a, zstandard(plain.data)).declaring(int64(len(content)))
	var cases []Case
	for name, l := range map[string]layer{"raw": raw(a, content), "tar": plain, "gzip": z, "zstd": s} {
		n := len(l.data)
		cases = append(cases,
			refused("flipped bit, "+name, l.damaged(flip(n/2))),
			refused("flipped bit at the start, "+name, l.damaged(flip(0))),
			refused("flipped bit at the end, "+name, l.damaged(flip(n-1))),
			refused("a byte missing, "+name, l.damaged(cut)),
			refused("a byte too many, "+name, l.damaged(stretch)),
			refused("all missing, "+name, l.damaged(func([]byte) []byte { return nil })),
			refused("size too large by one, "+name, l.described(setSize(int64(n+1)))),
			refused("size too small by one, "+name, l.described(setSize(int64(n-1)))),
			refused("size of nothing, "+name, l.described(setSize(0))),
			tooLarge(refused("size of 1 TiB, "+name, l.described(setSize(1<<40)))),
			refused("negative size, "+name, l.described(setSize(-1))),
			refused("least size, "+name, l.described(setSize(math.MinInt64))),
		)
	}
	huge := raw(a, content).described(setSize(math.MaxInt64))
	more := raw("more.bin", "more").described(setSize(math.MaxInt64))
	cases = append(cases, refused("sizes beyond all numbers together", huge, more))
	return append(cases, badDigests()...)
}

// badDigests are digests that are none, or that nobody can check.
func badDigests() []Case {
	right := digest.FromString("x").String()
	var cases []Case
	for name, d := range map[string]string{
		"empty": "", "no algorithm": right[len("sha256:"):], "short": right[:len(right)-1], "long": right + "0",
		"upper case": "sha256:" + strings.ToUpper(right[len("sha256:"):]), "another algorithm": "md5:9dd4e461268c8034f5c8564e155c67a6",
		"unknown algorithm": "crc32:8cdc1683", "above": "sha256:../../x", "above, absolute": "sha256:/../../../x",
		"separators of the right length": "sha256:" + strings.Repeat("../", 21) + "x", "algorithm above": "../../x:" + right[len("sha256:"):],
		"backslashes": `sha256:..\..\x`, "line break": right + "\n", "a query": "sha256:x?y=" + right[len("sha256:"):],
	} {
		cases = append(cases,
			refused("digest: "+name, raw("model.bin", "x").described(setDigest(d))),
			refused("digest of a tar: "+name, tarred("model.bin", file("model.bin", "x")).described(setDigest(d))))
	}
	other := func(b []byte) []byte { return bytes.Replace(b, []byte("good"), []byte("evil"), 1) }
	swapped := refused("manifest with another content", raw("model.bin", "x"))
	swapped.Manifest, swapped.Culprits = other(swapped.Manifest), []string{"manifest", swapped.Digest.String()}
	return append(cases, swapped)
}

func setSize(n int64) func(*ocispec.Descriptor) { return func(d *ocispec.Descriptor) { d.Size = n } }

func setDigest(s string) func(*ocispec.Descriptor) {
	return func(d *ocispec.Descriptor) { d.Digest = digest.Digest(s) }
}

// tooLarge is a case that a disk may be too small for, before anything else shows.
func tooLarge(c Case) Case {
	c.Want = Failed
	return c
}
