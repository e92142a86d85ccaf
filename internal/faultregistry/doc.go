// Package faultregistry gives tests a registry that misbehaves as it is told.
//
// The registry lives within the test, on the loopback interface, and can only
// be read. It answers as a good one does until faults are scripted:
//
//	reg := faultregistry.New(t)
//	art := reg.Add("models/x", data1, data2) // tagged v1
//	reg.Script(faultregistry.Blob, faultregistry.Cut(1<<20).Times(3))
//	// … pull reg.Ref(art) …
//	if reg.Sent() > size+size/50 {
//		t.Errorf("%d bytes on the wire", reg.Sent())
//	}
//
// # Faults
//
// A [Fault] changes one answer. It is scripted for one [Kind] of request, and
// says itself which of them it is for:
//
//	faultregistry.Cut(100)                        // the first one, and no other
//	faultregistry.Cut(100).Times(3)               // the first three
//	faultregistry.Cut(100).After(2)               // the third
//	faultregistry.Busy(503, 0).Every(2).Times(5)  // the first, the third … the ninth
//	faultregistry.NoRange().Always()              // all of them
//	faultregistry.Status(416).Ranged()            // the first with a Range
//	faultregistry.Corrupt(17).Of(desc.Digest)     // the first for that blob
//	faultregistry.Hang(9).If(func(r faultregistry.Request) bool { … })
//
// Only those requests are counted that the fault could hit: a cut after 100
// bytes passes over an answer of 100 bytes or less, what is wrong with a
// Content-Range passes over an answer without one, and a request that was
// turned away for want of a token is never counted as one for a blob. HEAD is
// left alone unless [Fault.Head] says so.
//
// All scripted faults that are due change an answer, in the order in which
// they were scripted: a rate, a limit of requests and a cut go together. Faults
// that must come and go as one are joined by [Fault.And]:
//
//	reg.Script(faultregistry.Blob, faultregistry.NoRange().And(faultregistry.Cut(1<<20)).Times(3))
//
// Offsets are bytes of one answer's body for what interrupts it, where a
// negative one counts from the end and [BeforeHeader] is before anything; they
// are bytes of the blob for [CutAt] and [Corrupt].
//
// # What was seen
//
// [Registry.Requests] tells what was asked and what was answered,
// [Registry.Sent] how many bytes of blobs were given to the sockets. A client
// that hangs up leaves up to a few hundred KiB in the kernel, which count as
// sent. Writing is counted before it is done, so that a byte that a client has
// seen is in the count.
//
// # Credentials and other hosts
//
// [WithTokens] asks for bearer tokens, which expire by a clock that the test
// moves ([Registry.Advance]). [WithRedirect] sends clients to a second server,
// the bucket, by URLs that are signed and expire; [Registry.Leaked] tells what
// it was shown that was not for its eyes. [WithMirrorOf] serves what another
// registry has.
package faultregistry
