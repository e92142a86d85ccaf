package registry

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

const (
	dockerHub    = "docker.io"
	dockerHubAPI = "registry-1.docker.io"
	// DefaultTag is the tag of a reference that names neither tag nor digest.
	DefaultTag = "latest"

	// maxRepository is what registries take.
	maxRepository = 255
)

var (
	componentPattern = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)
	tagPattern       = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	hostPattern      = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$`)
)

// Reference names an artifact: REGISTRY/REPOSITORY[:TAG][@DIGEST]. Where there
// are a tag and a digest, the digest decides what is meant.
type Reference struct {
	Registry   string // host[:port]
	Repository string
	Tag        string
	Digest     digest.Digest
}

// ParseReference reads a reference as people write it. A leading oci:// or
// modelpack:// is dropped. Names without a host are docker's short names:
// "qwen3:v1" is docker.io/library/qwen3:v1. Without tag and digest the tag is
// "latest".
func ParseReference(s string) (Reference, error) {
	ref, err := parseReference(s)
	if err != nil {
		return Reference{}, fmt.Errorf("parsing reference %q: %w", s, err)
	}
	return ref, nil
}

func parseReference(s string) (Reference, error) {
	s, err := trimScheme(s)
	if err != nil {
		return Reference{}, err
	}
	name, dgst, hasDigest := strings.Cut(s, "@")
	ref := Reference{Digest: digest.Digest(dgst)}
	name, tag, hasTag := cutTag(name)
	ref.Tag = tag
	ref.Registry, ref.Repository = splitName(name)
	switch {
	case hasDigest && dgst == "":
		return Reference{}, fmt.Errorf("the digest after @ is empty")
	case hasTag && tag == "":
		return Reference{}, fmt.Errorf("the tag after : is empty")
	case !hasDigest && !hasTag:
		ref.Tag = DefaultTag
	}
	return ref, ref.check()
}

// trimScheme drops the schemes by which Kubernetes and others say that an
// address is an artifact's.
func trimScheme(s string) (string, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	switch {
	case !ok:
		return s, nil
	case scheme == "oci" || scheme == "modelpack":
		return rest, nil
	}
	return "", hinted(fmt.Errorf("scheme %q does not belong here", scheme+"://"), "use "+rest)
}

// cutTag cuts at the last colon, unless that is the one in front of a port.
func cutTag(name string) (rest, tag string, ok bool) {
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i], name[i+1:], true
	}
	return name, "", false
}

// splitName splits a name into registry and repository by docker's rule: what
// is in front of the first slash is a host if it looks like one.
func splitName(name string) (registry, repository string) {
	first, rest, ok := strings.Cut(name, "/")
	if ok && (strings.ContainsAny(first, ".:") || strings.EqualFold(first, "localhost")) {
		registry, repository = strings.ToLower(first), rest
	} else {
		registry, repository = dockerHub, name
	}
	registry = registryOf(registry)
	if registry == dockerHub && repository != "" && !strings.Contains(repository, "/") {
		repository = "library/" + repository
	}
	return registry, repository
}

// validate checks a Reference that may have been put together by hand.
func (r Reference) validate() error {
	if err := r.check(); err != nil {
		return fmt.Errorf("reference %q: %w", r.String(), err)
	}
	return nil
}

func (r Reference) check() error {
	if err := checkHost(r.Registry); err != nil {
		return err
	}
	if err := checkRepository(r.Repository); err != nil {
		return err
	}
	if r.Tag != "" && !tagPattern.MatchString(r.Tag) {
		return hinted(fmt.Errorf("tag %q is not valid", r.Tag),
			"a tag has up to 128 letters, digits, _ . and -, and starts with none of . and -")
	}
	if r.Digest == "" {
		return nil
	}
	if err := r.Digest.Validate(); err != nil {
		return hinted(fmt.Errorf("digest %q: %w", r.Digest, err), "a digest looks like sha256: and 64 hexadecimal digits")
	}
	return nil
}

func checkHost(host string) error {
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		name, port = host[:i], host[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("registry %q: port %q is not one", host, port)
		}
	}
	if v6, ok := strings.CutPrefix(name, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(v6, "]"))
		if err != nil || !strings.HasSuffix(v6, "]") || !addr.Is6() || addr.Zone() != "" {
			return fmt.Errorf("registry %q: %q is not an IPv6 address", host, name)
		}
		return nil
	}
	if !hostPattern.MatchString(name) || strings.Contains(name, "..") {
		return fmt.Errorf("registry %q: %q is not a host name", host, name)
	}
	return nil
}

func checkRepository(repository string) error {
	if repository == "" {
		return hinted(fmt.Errorf("the repository is missing"), "a reference is HOST/REPOSITORY[:TAG][@DIGEST]")
	}
	if len(repository) > maxRepository {
		return fmt.Errorf("the repository has %d characters, more than %d", len(repository), maxRepository)
	}
	n := 0
	for component := range strings.SplitSeq(repository, "/") {
		n++
		lower := strings.ToLower(component)
		switch {
		case component == "":
			return fmt.Errorf("part %d of the repository %q is empty", n, repository)
		case componentPattern.MatchString(component):
		case componentPattern.MatchString(lower):
			return hinted(fmt.Errorf("the repository %q has upper-case letters", repository), "use "+strings.ToLower(repository))
		default:
			return hinted(fmt.Errorf("part %d of the repository, %q, is not valid", n, component),
				"a part has lower-case letters and digits, with single . _ or any number of - between them")
		}
	}
	return nil
}

// String is the full form, which [ParseReference] reads back.
func (r Reference) String() string {
	s := r.Name()
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest.String()
	}
	return s
}

// Name is the registry and the repository.
func (r Reference) Name() string { return r.Registry + "/" + r.Repository }

// Target is what a registry is asked for: the digest if there is one, else the
// tag.
func (r Reference) Target() string {
	if r.Digest != "" {
		return r.Digest.String()
	}
	return r.Tag
}

// WithTag is r with this tag and no digest.
func (r Reference) WithTag(tag string) Reference {
	r.Tag, r.Digest = tag, ""
	return r
}

// WithDigest is r with this digest and no tag.
func (r Reference) WithDigest(d digest.Digest) Reference {
	r.Tag, r.Digest = "", d
	return r
}

// host is where the API of the registry is.
func (r Reference) host() string {
	if r.Registry == dockerHub {
		return dockerHubAPI
	}
	return r.Registry
}

// registryOf is the registry that has its API at host, or that host is another
// name of.
func registryOf(host string) string {
	if host == dockerHubAPI || host == "index."+dockerHub {
		return dockerHub
	}
	return host
}
