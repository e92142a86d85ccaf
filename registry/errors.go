package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"oras.land/oras-go/v2/errdef"

	"github.com/tareml/tare/blob"
)

var (
	// ErrDenied says that the registry wants other credentials, or none of us.
	ErrDenied = errors.New("denied")

	// ErrUnreachable says that no connection came about: no such host, nobody
	// listening, a certificate that is not trusted, too long a silence.
	ErrUnreachable = errors.New("unreachable")

	// ErrUnavailable says that the registry is there but did not do its work,
	// however often it was asked.
	ErrUnavailable = errors.New("unavailable")
)

// problem is what went wrong between a registry and us, in words for people.
type problem struct {
	text   string
	kind   error // a sentinel, or nil
	cause  error // or nil
	hint   string
	final  bool   // it is not worth trying again in this run
	status int    // of the response, 0 if there was none
	code   string // of the registry's error, if it gave one
}

func (p *problem) Error() string {
	if p.kind == nil || strings.HasSuffix(strings.ToLower(p.text), p.kind.Error()) {
		return p.text
	}
	return p.text + ": " + p.kind.Error()
}

// Unwrap makes kind and cause visible to errors.Is. oras-go asks for its own
// word for "not found".
func (p *problem) Unwrap() []error {
	var all []error
	for _, err := range []error{p.kind, p.cause} {
		if err != nil {
			all = append(all, err)
		}
	}
	if p.kind == blob.ErrNotFound {
		all = append(all, errdef.ErrNotFound)
	}
	return all
}

// Hint says what to do next, empty if nothing comes to mind.
func (p *problem) Hint() string { return p.hint }

// hinted adds advice to err.
func hinted(err error, hint string) error {
	return &problem{text: err.Error(), cause: err, hint: hint}
}

// hintless says that nobody has advised on err yet.
func hintless(err error) bool {
	h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err)
	return !ok || h.Hint() == ""
}

// hasStatus says whether err is a response with one of these status codes.
func hasStatus(err error, statuses ...int) bool {
	p, ok := errors.AsType[*problem](err)
	if !ok {
		return false
	}
	for _, status := range statuses {
		if p.status == status {
			return true
		}
	}
	return false
}

// passing says whether err may go away if the same is tried again.
func passing(err error) bool {
	if p, ok := errors.AsType[*problem](err); ok && p.final {
		return false
	}
	return errors.Is(err, ErrUnreachable) || errors.Is(err, ErrUnavailable)
}

// explain turns an error of the HTTP client into one for people. URLs are left
// out: their queries may hold secrets.
func explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	outer, ok := errors.AsType[*url.Error](err)
	if !ok {
		return &problem{text: printable(withoutRequest(innermost(err).Error()))}
	}
	return unreachable(outer.Err)
}

// withoutRequest leaves out the request that oras-go puts in front of what it says
// of an answer: METHOD "URL": text.
func withoutRequest(text string) string {
	method, rest, _ := strings.Cut(text, ` "`)
	if _, said, ok := strings.Cut(rest, `": `); ok && method == strings.ToUpper(method) {
		return said
	}
	return text
}

// unreachable is an error of the transport.
func unreachable(err error) error {
	text := shown(err)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		text = errCut.Error()
	}
	return &problem{text: printable(text), kind: ErrUnreachable, cause: err, hint: networkHint(err)}
}

// shown is the text of an error of the transport, without what a server said that
// may be a secret of its own, and without the addresses of a connection that was
// there: the host is known.
func shown(err error) string {
	text := err.Error()
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "read" || op.Op == "write" || op.Op == "readfrom") {
		text = innermost(op).Error()
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		text = "no such host: " + dns.Name
	}
	for said, instead := range map[string]string{
		"failed to parse Location header": "redirected to an address that cannot be read",
		"malformed MIME header":           "the header of the answer cannot be read",
	} {
		if strings.Contains(text, said) {
			return instead
		}
	}
	return text
}

// innermost unwraps err to where it began.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

func networkHint(err error) string {
	if errors.Is(err, http.ErrSchemeMismatch) {
		return "the registry speaks plain HTTP: pass --plain-http"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the registry does not speak TLS: pass --plain-http if that is as it should be"
	}
	if untrusted(err) {
		return "name the file with the registry's CA with --ca-file, or pass --insecure"
	}
	if refusedCertificate(err) {
		return "the registry wants a certificate that it knows: --cert-file and --key-file name ours"
	}
	if tunnel, ok := errors.AsType[proxyError](err); ok {
		return tunnel.hint()
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "proxyconnect" {
		return "the proxy does not answer: --proxy, or else HTTPS_PROXY and HTTP_PROXY, name it"
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return fmt.Sprintf("check the name, %s, and the network", dns.Name)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "nothing listens there: is the registry running, and its name and port right?"
	}
	if strings.Contains(err.Error(), "malformed HTTP response") {
		return "the registry may speak TLS: leave out --plain-http"
	}
	return ""
}

// refusedCertificate says whether the other end did not like our certificate, or
// that we have none. crypto/tls keeps its alerts to itself but for their text.
func refusedCertificate(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" || op.Err == nil {
		return false
	}
	text := op.Err.Error()
	return strings.Contains(text, "certificate") || strings.Contains(text, "access denied")
}

// untrusted says whether err is about a certificate.
func untrusted(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	return verification || authority || name || invalid
}
