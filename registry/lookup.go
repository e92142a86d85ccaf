package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// Credential is what a registry or its token service is shown.
type Credential = auth.Credential

// CredentialStore is where credentials are found and saved, by the name of a
// registry as docker has it.
type CredentialStore = credentials.Store

// Lookup is why a [CredentialStore] is asked. What is not known of is false.
type Lookup struct {
	// Push says that the registry wants to know who it is that pushes.
	Push bool

	// Refused says that the registry refused what it was shown before, so that
	// the store should not say the same again from memory.
	Refused bool

	// Repository is the one that the registry is asked about, empty if that is
	// none or several.
	Repository string
}

type lookupKey struct{}

// WithLookup says why a store is asked.
func WithLookup(ctx context.Context, l Lookup) context.Context {
	return context.WithValue(ctx, lookupKey{}, l)
}

// LookupOf is what [WithLookup] said.
func LookupOf(ctx context.Context) Lookup {
	l, _ := ctx.Value(lookupKey{}).(Lookup)
	return l
}

// repositoryAsked is the repository that a request to host is about: where
// several are, the one that is pushed to.
func repositoryAsked(ctx context.Context, host string) string {
	var read []string
	for _, scope := range auth.GetAllScopesForHost(ctx, host) {
		name, ok := strings.CutPrefix(scope, "repository:")
		if !ok {
			continue
		}
		if name = name[:max(0, strings.LastIndexByte(name, ':'))]; pushes(scope) {
			return name
		}
		read = append(read, name)
	}
	if len(read) != 1 {
		return ""
	}
	return read[0]
}

// subject is whose repository a request is about: host answers for registry.
type subject struct{ host, registry string }

type subjectKey struct{}

func withSubject(ctx context.Context, s subject) context.Context {
	return context.WithValue(ctx, subjectKey{}, s)
}

// subjectAt is the registry that a request to host is about.
func subjectAt(ctx context.Context, host string) string {
	if s, ok := ctx.Value(subjectKey{}).(subject); ok && s.host == host {
		return s.registry
	}
	return registryOf(host)
}

// standIn is the registry whose credentials host is shown if there are none for
// host itself, or "". A server on this very machine, a tunnel or a test, may see
// them; any other address that was written down for a registry is somebody else.
func standIn(ctx context.Context, host string) string {
	if name := subjectAt(ctx, host); name != registryOf(host) && loopback(host) {
		return name
	}
	return ""
}

// maxPassword is how much of a password is looked into.
const maxPassword = 16 << 10

// PasswordEnd is when a password ends, if it says so itself, as those of Amazon
// ECR do: they are JSON in base64, with a Unix time named expiration.
func PasswordEnd(password string) (end time.Time, ok bool) {
	if len(password) > maxPassword {
		return time.Time{}, false
	}
	data, err := base64.StdEncoding.DecodeString(password)
	if err != nil {
		return time.Time{}, false
	}
	var says struct {
		Expiration int64 `json:"expiration"`
	}
	if json.Unmarshal(data, &says) != nil || says.Expiration <= 0 {
		return time.Time{}, false
	}
	return time.Unix(says.Expiration, 0), true
}
