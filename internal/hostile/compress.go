package hostile

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// run is bytes that come so many times in a row.
type run struct {
	data     []byte
	times    int
	deflated []byte // may be nil
}

// once are bytes that come one time.
func once(data []byte) run { return run{data: data, times: 1} }

// zeros are n of them, a multiple of a MiB.
func zeros(n int) run { return run{data: make([]byte, mib), times: n / mib} }

// gzipped is a gzip stream of runs. It costs what each run costs once: what was
// deflated on its own and ends on a byte can be repeated.
func gzipped(runs ...run) []byte {
	out := bytes.NewBuffer([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff})
	sum, size := uint32(0), 0
	for _, r := range runs {
		piece := r.deflated
		if piece == nil {
			piece = deflated(r.data)
		}
		for range r.times {
			out.Write(piece)
			sum = crc32.Update(sum, crc32.IEEETable, r.data)
			size += len(r.data)
		}
	}
	out.Write([]byte{1, 0, 0, 0xff, 0xff}) // the last block, with nothing in it
	end := binary.LittleEndian.AppendUint32(nil, sum)
	out.Write(binary.LittleEndian.AppendUint32(end, uint32(size)))
	return out.Bytes()
}

// deflated is data up to a flush.
func deflated(data []byte) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if len(data) <= mib {
		w, err = flate.NewWriter(&b, flate.BestCompression)
	}
	if err != nil {
		panic(err)
	}
	w.Write(data) // a buffer takes all
	w.Flush()
	return b.Bytes()
}

// zstandard is a zstd frame as a good tool writes it, with a checksum.
func zstandard(data []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(data, nil)
}

// The parts of a zstd frame, RFC 8878.
const (
	zstdMagic    = 0xFD2FB528
	skippable    = 0x184D2A50
	maxZstdBlock = 128 * kib

	blockRaw = 0
	blockRLE = 1
)

// zstdFrame is a frame of runs of which each is one byte, or few bytes once. The
// window is 2^log bytes. There is neither checksum nor size.
func zstdFrame(log byte, runs ...run) []byte {
	out := binary.LittleEndian.AppendUint32(nil, zstdMagic)
	out = append(out, 0, (log-10)<<3)
	for _, r := range runs {
		if r.times == 1 {
			out = append(zstdBlock(out, blockRaw, len(r.data)), r.data...)
			continue
		}
		for range r.times * (len(r.data) / maxZstdBlock) {
			out = append(zstdBlock(out, blockRLE, maxZstdBlock), r.data[0])
		}
	}
	return append(out, 1, 0, 0) // the last block, with nothing in it
}

// zstdBlock begins a block that is not the last.
func zstdBlock(out []byte, kind, size int) []byte {
	h := uint32(kind<<1 | size<<3)
	return append(out, byte(h), byte(h>>8), byte(h>>16))
}
