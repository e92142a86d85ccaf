// Package soak uses the real binary as badly as the world does, for as long as
// one has patience. It has tests only:
//
//	go test ./internal/soak                             one pass, a few seconds
//	TARE_SOAK_SECONDS=3600 go test -timeout 0 ./internal/soak
//
// Builds are killed at random points, and sixteen workers build, tag, remove and
// prune in one store at once. Pulls from real registries are killed, interrupted,
// robbed of their state, started many at a time, and outlive their tokens; what
// they have sent again is bounded. Pushes are killed at each step of their course,
// as the registry sees it; what it had stored is not sent again. On Linux, as root
// and for as long as TARE_SOAK_SECONDS says, pulls run over a far, lossy and slow
// link between two network namespaces, and are killed there, too. After each pass
// nothing may be lost that had a name and nothing be left that has none. TARE is
// the binary to test; without it one is built. A failure names the seed of the
// pass: TARE_SOAK_SEED repeats its content and the order of things, though not the
// moment of each kill.
package soak
