// Package interop feeds artifacts that tare has just built to the code of other
// tools, and compares file for file and byte for byte what comes out of them. It
// is a module of its own so that what those tools need stays out of tare's.
//
// The package has tests only. The table in matrix_test.go says which format each
// tool takes and what it makes of the others. Where a tool's code cannot be had as
// a library, a test plays its part by the rules that it is known to follow
// (rules_test.go).
//
// README.md says how to run the tests and which versions they hold for.
package interop
