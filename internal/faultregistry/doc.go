// Package faultregistry gives tests a registry that misbehaves as it is told.
//
// The registry lives within the test, on the loopback interface, and holds what
// it has in memory. It answers as a good one does until faults are scripted:
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
// turned away for want of a token is never counted as one for a blob.
//
// Faults are for GET; of a [Session] they are for PATCH and PUT, of an [Upload]
// for POST. [Fault.Head], [Fault.Patch], [Fault.Put] and [Fault.Method] are for
// others: HEAD is left alone, and so is a manifest that is pushed, unless they
// say so.
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
// # Uploads
//
// A push is a POST, an [Upload], that opens a session, and what is sent to the
// Location of that: PATCH for a chunk, PUT for the end with what is left of the
// body, GET for how far it is, DELETE to give it up. The Location is another
// after each answer. Only the last one is good for sending, another is 416; any
// is good for asking. What came of a body that was cut stays in the session, as
// with distribution v3. What arrives of an older request once a newer one came
// to the session is not appended, so what a client was told stays true.
//
// The options are for registries of other habits: [WithVanishingSessions],
// [WithECR], [WithoutPatch], [WithMaxPatch], [WithMinChunk], [WithBodyLimit],
// [WithBareRanges], [WithoutMount], [WithImmutableTags], [WithoutCreation].
//
// A fault can come at three points of such a request: before anything is done,
// after so many bytes of its body, and once it took effect:
//
//	reg.Script(faultregistry.Session, faultregistry.Busy(503, 1))                          // none of the body is taken
//	reg.Script(faultregistry.Session, faultregistry.Unauthorized().Within(1<<20).Do(reg.Revoke))
//	reg.Script(faultregistry.Session, faultregistry.Status(500).Put().Late())              // the blob is there
//	reg.Script(faultregistry.Session, faultregistry.Cut(1<<20).Patch())                    // no answer, 1 MiB is kept
//	reg.Script(faultregistry.Session, faultregistry.Cut(faultregistry.BeforeHeader).Late()) // no answer, all is kept
//	reg.Script(faultregistry.Manifest, faultregistry.KeepTag().Put())
//
// [Cut], [Reset] and [Hang] count bytes of the body that the client sends, where
// it sends one, and [Rate], [SharedRate] and [Trickle] hold that back. What
// changes a field of the answer, as [DigestSays] and [StaleLocation], is late in
// any case.
//
// A fault that is due but never reached, because another one came before it or
// the body was refused, has happened: it is not made up for.
//
// An answer that comes before the end of a body reaches a client that still
// sends: a small rest is read first, and for a large one the connection is
// closed when the client has had the time to read.
//
// # What was seen
//
// [Registry.Requests] tells what was asked and what was answered,
// [Registry.Sent] how many bytes of blobs were given to the sockets and
// [Registry.Received] how many were read from them. A client that hangs up leaves
// up to a few hundred KiB in the kernel, which count as sent; one that is cut off
// has sent as much that was never received. Writing is counted before it is done,
// so that a byte that a client has seen is in the count, and reading before it is
// answered.
//
// [Registry.Has], [Registry.Blob], [Registry.Content] and [Registry.Artifact]
// show what is stored, [Registry.Sessions] how many uploads were left behind.
//
// # Credentials and other hosts
//
// [WithTokens] asks for bearer tokens, which expire by a clock that the test
// moves ([Registry.Advance]). [WithRedirect] sends clients to a second server,
// the bucket, by URLs that are signed and expire, and [CrossHost] has an upload
// go on there; [Registry.Leaked] tells what it was shown that was not for its
// eyes. [WithMirrorOf] serves what another registry has, and can only be read.
package faultregistry
