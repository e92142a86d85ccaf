package registry

import "net/http"

// Host is a server that answers for a registry: the registry itself, or a mirror
// of it.
type Host struct {
	// URL is where the API begins: scheme://host[:port]/v2, or what stands in
	// the place of /v2. It has no slash at its end.
	URL string

	// Pull is for content by digest, Resolve for finding out what a tag means,
	// Push for all that writes.
	Pull, Resolve, Push bool

	// Header is sent along with each request to this host and to no other.
	Header http.Header

	// CA are PEM files of authorities that are trusted for this host, besides
	// those of the system.
	CA []string

	// Client are the PEM files of the certificates, each with its key, by which
	// the host knows us.
	Client [][2]string

	// SkipVerify accepts any certificate.
	SkipVerify bool
}

// Hosts are the servers that answer for a registry.
type Hosts struct {
	// Server is the registry itself. Its URL is empty where it is as its name
	// says.
	Server Host

	// Mirrors are asked before it, in this order.
	Mirrors []Host
}
