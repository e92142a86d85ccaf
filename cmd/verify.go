package cmd

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/progress"
	"github.com/tareml/tare/storage"
)

type verifyOptions struct {
	concurrency concurrency
	format      formatFlag
}

// verified is what verify prints. Bytes are those of good blobs.
type verified struct {
	Blobs int
	Bytes int64
	Bad   []badBlob
}

type badBlob struct {
	Digest  string
	Files   []string // that are in the blob, as reference and path
	Problem string
	Aside   string // where the damaged blob is now, empty if it stayed
}

func (a *app) newVerifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify [REF...]",
		Short: "Read every byte in the local store again",
		Long: `Hash the blobs of the given artifacts, or all blobs in the local store, and
compare them with their digests. A damaged blob is set aside, so that the next
pull or build brings it back. Exit code 5 says that there was one, or that one
is missing.`,
		Example: `  tare verify
  tare verify registry.example.com/team/qwen3-0.6b:v1 --format json`,
		ValidArgsFunction: a.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runVerify(cmd, o, args)
		},
	}
	o.concurrency.register(cmd, runtime.GOMAXPROCS(0), "blobs to read at once")
	o.format.register(cmd, formatTable)
	return cmd
}

func (a *app) runVerify(cmd *cobra.Command, o verifyOptions, args []string) error {
	if err := o.concurrency.check(); err != nil {
		return err
	}
	if err := o.format.check(verified{Bad: []badBlob{{}}}); err != nil {
		return err
	}
	store, err := a.view(cmd.Context())
	if err != nil {
		return err
	}
	defer store.Close()
	c, err := contentsOf(store, args)
	if err != nil {
		return err
	}
	result, err := a.verify(cmd, store, c, o)
	if err != nil {
		return err
	}
	result.Bad = append(result.Bad, c.missing(store, result.Bad)...)
	v := c.describe(result)
	if err := o.format.print(cmd, v, func(w io.Writer) { printVerified(w, v) }); err != nil || len(v.Bad) == 0 {
		return err
	}
	return withHint(newBadBlobs(result.Bad), "tare pull, or tare build from the same files, brings them back")
}

// badBlobs is the error of a store whose content is not what it should be, be it
// damaged or gone.
type badBlobs struct{ damaged, missing int }

func newBadBlobs(all []storage.BadBlob) *badBlobs {
	e := &badBlobs{}
	for _, b := range all {
		if strings.HasPrefix(b.Problem, problemMissing) {
			e.missing++
		} else {
			e.damaged++
		}
	}
	return e
}

// Error implements error.
func (e *badBlobs) Error() string {
	missing := plural(e.missing, "blob") + " missing"
	damaged := fmt.Sprintf("%s: %s", plural(e.damaged, "bad blob"), blob.ErrMismatch)
	switch {
	case e.missing == 0:
		return damaged
	case e.damaged == 0:
		return missing
	}
	return missing + ", " + damaged
}

// Unwrap is [blob.ErrMismatch] in either case: a script has one code to look for.
func (e *badBlobs) Unwrap() error { return blob.ErrMismatch }

// problemMissing is how package storage, too, begins to tell of a blob that is gone.
const problemMissing = "missing"

func (a *app) verify(cmd *cobra.Command, store *view, c *contents, o verifyOptions) (result storage.Verified, err error) {
	reporter := a.reporter(cmd)
	err = reporter.During("verifying", c.size, len(c.files), func() (err error) {
		result, err = store.Verify(cmd.Context(), c.digests, storage.VerifyOptions{
			Concurrency: int(o.concurrency),
			Observer:    reporter,
		})
		return err
	})
	return result, err
}

// contents is what artifacts are made of.
type contents struct {
	digests []digest.Digest // to verify, nil for all that are there
	needed  []ocispec.Descriptor
	files   map[digest.Digest][]string
	size    int64
}

// contentsOf looks into the artifacts that are named, or into all.
func contentsOf(store *view, args []string) (*contents, error) {
	c := &contents{files: make(map[digest.Digest][]string)}
	for _, arg := range args {
		ref, err := parseRef(arg)
		if err != nil {
			return nil, err
		}
		art, err := store.artifact(ref)
		if err != nil {
			return nil, err
		}
		c.addBlob(art.desc, ref.String()+" manifest")
		c.add(ref.String(), art)
		c.digests = append(c.digests, art.digests()...)
	}
	if len(args) > 0 {
		return c, nil
	}
	entries, err := store.List()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		// What cannot be read, or is no model, is verified all the same. Reading a
		// damaged manifest sets it aside: it shows as missing.
		c.addBlob(e.Descriptor, e.Ref+" manifest")
		if data, err := store.ReadAll(e.Descriptor); err == nil {
			if art, err := parseArtifact(e.Descriptor, data); err == nil {
				c.add(e.Ref, art)
			}
		}
	}
	return c, nil
}

func (c *contents) add(ref string, art *artifact) {
	c.addBlob(art.Manifest.Config, ref+" config")
	for _, l := range art.Layers {
		c.addBlob(l.Descriptor, ref+" "+l.Path)
	}
}

func (c *contents) addBlob(desc ocispec.Descriptor, name string) {
	if len(c.files[desc.Digest]) == 0 {
		c.size += desc.Size
		c.needed = append(c.needed, desc)
	}
	c.files[desc.Digest] = append(c.files[desc.Digest], name)
}

// missing lists blobs that a name needs and that are not there, besides those
// that are known to be bad.
func (c *contents) missing(store *view, known []storage.BadBlob) []storage.BadBlob {
	var bad []storage.BadBlob
	for _, desc := range c.needed {
		if slices.ContainsFunc(known, func(b storage.BadBlob) bool { return b.Digest == desc.Digest }) {
			continue
		}
		src, err := store.Open(desc)
		if err != nil {
			bad = append(bad, storage.BadBlob{Digest: desc.Digest, Problem: problemMissing + ", or was set aside"})
			continue
		}
		src.Close()
	}
	return bad
}

func (c *contents) describe(result storage.Verified) verified {
	v := verified{Blobs: result.Blobs, Bytes: result.Bytes, Bad: []badBlob{}}
	for _, b := range result.Bad {
		v.Bad = append(v.Bad, badBlob{b.Digest.String(), c.files[b.Digest], b.Problem, b.Aside})
	}
	return v
}

func printVerified(w io.Writer, v verified) {
	for _, b := range v.Bad {
		fmt.Fprintf(w, "bad %s: %s\n", b.Digest, printable(b.Problem))
		for _, f := range b.Files {
			fmt.Fprintf(w, "    %s\n", printable(f))
		}
	}
	fmt.Fprintf(w, "%s good, %s\n", plural(v.Blobs, "blob"), progress.Bytes(v.Bytes))
}
