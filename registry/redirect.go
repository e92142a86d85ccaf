package registry

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

const maxRedirects = 10

// checkRedirect decides what goes along with a redirect. net/http lets
// credentials through to subdomains, to other ports and to the same host without
// TLS: here they stay with the origin that they were meant for. Referer is
// dropped since it may have a signature in its query.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return &problem{text: fmt.Sprintf("redirected more than %d times", maxRedirects), kind: ErrUnavailable}
	}
	req.Header.Del("Referer")
	if leftOrigin(req.URL, via) {
		req.Header.Del("Authorization")
		req.Header.Del("Cookie")
	}
	return nil
}

// leftOrigin says whether any step led away from where the first request went.
// Each step has the headers of the first one anew, so a way back is not trusted.
func leftOrigin(to *url.URL, via []*http.Request) bool {
	if len(via) == 0 {
		return false
	}
	origin := canonical(via[0].URL)
	return canonical(to) != origin ||
		slices.ContainsFunc(via, func(r *http.Request) bool { return canonical(r.URL) != origin })
}
