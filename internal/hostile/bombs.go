package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/tareml/tare/modelpack"
)

// sizes are files that are not as large as something says that they are.
func sizes() []Case {
	const a = "model.bin"
	large := strings.Repeat("x", mib)
	cases := []Case{
		refused("file larger than declared", tarred(a, file(a, large)).declaring(10)),
		refused("file smaller than declared", tarred(a, file(a, "x")).declaring(10)),
		refused("size declared as negative", tarred(a, file(a, "x")).declaring(-1)),
		refused("second file where one is declared", tarred(a, file(a, "x"), file("more.bin", large)).declaring(1)),
		refused("another file than declared", tarred(a, file("other.bin", "x")).declaring(1)),
		refused("no file where one is declared", tarred(a).declaring(1)),
		refused("directory where a file is declared", tarred(a, dir(a+"/")).declaring(1)),
		refused("huge size declared, small file", tarred(a, file(a, "x")).declaring(math.MaxInt64)),
	}
	for name, size := range map[string]int64{
		"1 GiB": gib, "8 GiB": 8 * gib, "8 EiB": math.MaxInt64, "8 EiB less a block": math.MaxInt64 - 511, "a negative number": -1, "the least number": math.MinInt64,
	} {
		lying := archive(pad(append(header(typeFile, a, size), 'x')))
		cases = append(cases,
			refused("header says "+name, blobOf(modelpack.Tar, "", lying)),
			refused("header says "+name+", and so does the manifest", blobOf(modelpack.Tar, a, lying).declaring(size)),
			refused("PAX record says "+name, tarred("", pax(typePAX, "size", fmt.Sprint(size)), file(a, "x"))),
			refused("header says "+name+", compressed", blobOf(modelpack.TarGzip, a, gzipped(once(lying)))),
		)
	}
	return append(cases, sizedOthers()...)
}

// sizedOthers are headers of what has no content, with a size.
func sizedOthers() []Case {
	garbled := header(typeFile, "model.bin", 1)
	copy(garbled[offSize:], "zzzzzzzzzzz")
	unsealed := header(typeFile, "model.bin", 1)
	unsealed[offSum] ^= 1
	return []Case{
		refused("size that is no number", blobOf(modelpack.Tar, "", archive(pad(append(seal(garbled), 'x'))))),
		refused("header with a wrong checksum", blobOf(modelpack.Tar, "", archive(pad(append(unsealed, 'x'))))),
		refused("PAX record with a size that is no number", tarred("", pax(typePAX, "size", "many"), file("model.bin", "x"))),
		refused("PAX record longer than its header", tarred("", entry(typePAX, "p", "99999999999 path=x\n"), file("model.bin", "x"))),
		refused("PAX record of negative length", tarred("", entry(typePAX, "p", "-9 path=x\n"), file("model.bin", "x"))),
		refused("PAX header and nothing behind it", tarred("", pax(typePAX, "path", "model.bin"))),
	}
}

// sparse are files with holes: a few bytes that become any number of them.
func sparse() []Case {
	const a = "model.bin"
	gnu := header(typeSparse, a, 1)
	copy(gnu[offMagic:], "ustar  \x00")
	octal(gnu[386:398], 0) // one piece of one byte at the start
	octal(gnu[398:410], 1)
	number(gnu[483:495], 64*gib)
	real := fmt.Sprint(64 * gib)
	return []Case{
		refused("sparse file, old GNU", tarred("", pad(append(seal(gnu), 'x')))),
		refused("sparse file, old GNU, declared", tarred(a, pad(append(seal(gnu), 'x'))).declaring(1)),
		refused("sparse file, PAX 0.0", tarred("", pax(typePAX, "GNU.sparse.size", real, "GNU.sparse.numblocks", "1",
			"GNU.sparse.offset", "0", "GNU.sparse.numbytes", "1"), file(a, "x"))),
		refused("sparse file, PAX 0.1", tarred("", pax(typePAX, "GNU.sparse.size", real, "GNU.sparse.numblocks", "1",
			"GNU.sparse.map", "0,1", "GNU.sparse.name", a), file(a, "x"))),
		refused("sparse file, PAX 1.0", tarred("", pax(typePAX, "GNU.sparse.major", "1", "GNU.sparse.minor", "0",
			"GNU.sparse.name", a, "GNU.sparse.realsize", real), file("plain.txt", string(pad([]byte("1\n0\n1\n")))+"x"))),
		refused("sparse file, PAX 1.0, declared", tarred(a, pax(typePAX, "GNU.sparse.major", "1", "GNU.sparse.minor", "0",
			"GNU.sparse.name", a, "GNU.sparse.realsize", real), file("plain.txt", string(pad([]byte("1\n0\n1\n")))+"x")).declaring(64*gib)),
		refused("sparse file, PAX 1.0, whose name is above", tarred("", pax(typePAX, "GNU.sparse.major", "1", "GNU.sparse.minor", "0",
			"GNU.sparse.name", "../"+Outside, "GNU.sparse.realsize", "1"), file("plain.txt", string(pad([]byte("1\n0\n1\n")))+"x"))),
	}
}

// bombs are small layers that want to become large.
func bombs() []Case {
	const a = "model.bin"
	large, small, end := header(typeFile, a, gib), archive(file(a, "x")), make([]byte, 2*blockSize)
	frame := zstdFrame(17, once(large), zeros(gib), once(end))
	return append(gzipBombs(),
		refused("zstd bomb", blobOf(modelpack.TarZstd, a, frame)),
		refused("zstd bomb, declared as small", blobOf(modelpack.TarZstd, a, frame).declaring(10)),
		refused("zstd bomb behind the archive", blobOf(modelpack.TarZstd, a, zstdFrame(17, once(small), zeros(gib))).declaring(1)),
		refused("zstd bomb of many frames", blobOf(modelpack.TarZstd, a,
			joined(zstdFrame(17, once(large)), bytes.Repeat(zstdFrame(17, zeros(16*mib)), 64), zstdFrame(17, once(end))))),
		refused("zstd with a window of 2 GiB", blobOf(modelpack.TarZstd, a, zstdFrame(31, once(small))).declaring(1)),
		refused("zstd with a window of 128 MiB", blobOf(modelpack.TarZstd, a, zstdFrame(27, once(small))).declaring(1)),
		refused("zstd frame that says it holds 1 EiB", blobOf(modelpack.TarZstd, a, sizedFrame(1<<60, small)).declaring(1)),
		refused("zstd frame that says it holds 1 GiB", blobOf(modelpack.TarZstd, a, sizedFrame(gib, small)).declaring(1)),
		refused("zstd frame for a dictionary", blobOf(modelpack.TarZstd, a, []byte("\x28\xb5\x2f\xfd\x01\x38\x07\x01\x00\x00")).declaring(1)),
		refused("zstd frame of 4 GiB to be skipped", blobOf(modelpack.TarZstd, a, skippableFrame(math.MaxUint32)).declaring(1)),
	)
}

// gzipBombs grow a thousandfold, the most that gzip can do.
func gzipBombs() []Case {
	const a = "model.bin"
	large, small, end := header(typeFile, a, gib), archive(file(a, "x")), make([]byte, 2*blockSize)
	piece := deflated(make([]byte, mib))
	blank := func(n int) run { return run{data: make([]byte, mib), times: n / mib, deflated: piece} }
	whole := gzipped(once(large), blank(gib), once(end))
	member := gzipped(blank(mib))
	members := joined(gzipped(once(large)), bytes.Repeat(member, gib/mib), gzipped(once(end)))
	return []Case{
		refused("gzip bomb", blobOf(modelpack.TarGzip, a, whole)),
		refused("gzip bomb in an unnamed layer", blobOf(modelpack.TarGzip, "", whole)),
		refused("gzip bomb, declared as small", blobOf(modelpack.TarGzip, a, whole).declaring(10)),
		refused("gzip bomb of many members", blobOf(modelpack.TarGzip, a, members).declaring(10)),
		refused("gzip bomb behind the archive", blobOf(modelpack.TarGzip, a, gzipped(once(small), blank(64*mib))).declaring(1)),
		refused("gzip bomb of many members behind the archive",
			blobOf(modelpack.TarGzip, a, append(gzipped(once(small)), bytes.Repeat(member, 64)...)).declaring(1)),
	}
}

// sizedFrame is a zstd frame in one segment, which needs a window as large as
// the size that it states.
func sizedFrame(size uint64, data []byte) []byte {
	out := binary.LittleEndian.AppendUint32(nil, zstdMagic)
	out = binary.LittleEndian.AppendUint64(append(out, 3<<6|1<<5), size)
	out = append(zstdBlock(out, blockRaw, len(data)), data...)
	return append(out, 1, 0, 0)
}

// skippableFrame says that it is so long.
func skippableFrame(size uint32) []byte {
	out := binary.LittleEndian.AppendUint32(nil, skippable)
	return binary.LittleEndian.AppendUint32(out, size)
}

// floods are headers that are larger than all that is to be read.
func floods() []Case {
	var cases []Case
	for flag, name := range map[byte]string{typePAX: "PAX header", typeGlobal: "global PAX header", typeLongName: "GNU name", typeLongLink: "GNU link"} {
		data := zstdFrame(17, once(header(flag, "p", 100*mib)), zeros(100*mib), once(archive(file("model.bin", "x"))))
		cases = append(cases, refused(name+" of 100 MiB", blobOf(modelpack.TarZstd, "model.bin", data)))
	}
	return cases
}

// Crowds are cases of so many entries that making and reading them takes
// seconds, and much longer with the race detector. All that they cost is bit by
// bit: there is no bound on the memory in all.
func Crowds() []Case {
	const a = "model.bin"
	end := once(archive(file(a, "x")))
	flood := func(name string, entry []byte, mibs int) Case {
		return refused(name, blobOf(modelpack.TarGzip, "", gzipped(run{data: bytes.Repeat(entry, mib/len(entry)), times: mibs}, end)))
	}
	return []Case{
		refused("300,000 directories", blobOf(modelpack.TarGzip, "", gzipped(once(directories(300_000)), end))),
		flood("one directory 1,000,000 times", dir("d/"), 512),
		flood("500,000 PAX headers", pax(typePAX, "comment", "x"), 512),
		flood("500,000 global PAX headers", pax(typeGlobal, "comment", "x"), 512),
	}
}

// directories is the entries of n of them.
func directories(n int) []byte {
	all := bytes.Repeat(dir("0000000/"), n)
	for i := range n {
		b := all[i*blockSize : (i+1)*blockSize]
		for rest, at := i, 6; rest > 0; rest, at = rest/10, at-1 {
			b[at] = byte('0' + rest%10)
		}
		seal(b)
	}
	return all
}
