package generate

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// gitEntry is a line of a git config: [section "sub"] key = value.
type gitEntry struct{ section, sub, key, value string }

// parseGitConfig reads what it understands and skips the rest. Other files that
// the config includes are not followed.
func parseGitConfig(text string) []gitEntry {
	var entries []gitEntry
	var at gitEntry
	p := &gitParser{rest: text}
	for p.rest != "" {
		p.rest = strings.TrimLeft(p.rest, " \t\r\n")
		switch {
		case p.rest == "":
		case p.rest[0] == '#' || p.rest[0] == ';':
			p.line()
		case p.rest[0] == '[':
			at = p.header()
		default:
			key := strings.ToLower(p.take(func(c byte) bool { return c != '=' && c != '\n' && c != '#' && c != ';' }))
			at.key, at.value = strings.TrimSpace(key), ""
			if strings.HasPrefix(p.rest, "=") {
				p.rest = p.rest[1:]
				at.value = p.value()
			} else {
				p.line()
			}
			entries = append(entries, at)
		}
	}
	return entries
}

type gitParser struct{ rest string }

// line skips what is left of the line.
func (p *gitParser) line() { _, p.rest, _ = strings.Cut(p.rest, "\n") }

// take takes characters as long as they are wanted.
func (p *gitParser) take(wanted func(byte) bool) string {
	n := 0
	for n < len(p.rest) && wanted(p.rest[n]) {
		n++
	}
	out := p.rest[:n]
	p.rest = p.rest[n:]
	return out
}

// header reads [section "sub"]. More may follow on the same line.
func (p *gitParser) header() gitEntry {
	p.rest = p.rest[1:]
	name := p.take(func(c byte) bool { return c != ']' && c != '"' && c != '\n' })
	at := gitEntry{section: strings.ToLower(strings.TrimSpace(name))}
	if strings.HasPrefix(p.rest, `"`) {
		p.rest = p.rest[1:]
		at.sub = p.quoted()
		p.take(func(c byte) bool { return c != ']' && c != '\n' })
	}
	p.rest = strings.TrimPrefix(p.rest, "]")
	return at
}

func (p *gitParser) quoted() string {
	var out []byte
	for p.rest != "" && p.rest[0] != '\n' {
		c := p.rest[0]
		p.rest = p.rest[1:]
		switch {
		case c == '"':
			return string(out)
		case c == '\\' && p.rest != "":
			c = p.rest[0]
			p.rest = p.rest[1:]
		}
		out = append(out, c)
	}
	return string(out)
}

// gitEscapes are the characters that may follow a backslash in a value. One at the
// end of a line joins the next one to it.
var gitEscapes = map[byte]string{'n': "\n", 't': "\t", 'b': "\b", '\\': `\`, '"': `"`, '\n': ""}

// value reads to the end of the line, which may go on in the next one.
func (p *gitParser) value() string {
	var out strings.Builder
	quoted := false
	for p.rest != "" {
		c := p.rest[0]
		p.rest = p.rest[1:]
		switch {
		case c == '\n':
			return strings.TrimSpace(out.String())
		case c == '"':
			quoted = !quoted
		case c == '\\' && p.rest != "":
			p.rest = strings.TrimPrefix(p.rest, "\r")
			if !p.escape(&out) { // git would refuse the file
				p.line()
				return ""
			}
		case (c == '#' || c == ';') && !quoted:
			p.line()
			return strings.TrimSpace(out.String())
		default:
			out.WriteByte(c)
		}
	}
	return strings.TrimSpace(out.String())
}

// escape reads what follows a backslash; false if that is nothing that git knows.
func (p *gitParser) escape(out *strings.Builder) bool {
	if p.rest == "" {
		return true
	}
	text, ok := gitEscapes[p.rest[0]]
	if ok {
		out.WriteString(text)
		p.rest = p.rest[1:]
	}
	return ok
}

// remoteOf is the address of origin, or of the only remote there is.
func remoteOf(entries []gitEntry) string {
	var names []string
	urls := make(map[string]string)
	for _, e := range entries {
		if e.section != "remote" || e.key != "url" || e.value == "" || urls[e.sub] != "" {
			continue
		}
		urls[e.sub] = e.value
		names = append(names, e.sub)
	}
	if slices.Contains(names, "origin") || len(names) != 1 {
		return urls["origin"]
	}
	return urls[names[0]]
}

// scpLike is the way of git to write an address of ssh: git@host:path. Hosts
// without a dot are names that only their owner's ssh knows.
var scpLike = regexp.MustCompile(`^(?:[^@/:\s]+@)?([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+):/*([^~\s][^\s]*)$`)

// publicURL is the address of a git remote for everyone to read: by https where it
// was by ssh, and without user, password and query. It is empty for directories
// and whatever else is no address. The second result says that something was left
// out that may be secret.
func publicURL(remote string) (address string, stripped bool) {
	if m := scpLike.FindStringSubmatch(remote); m != nil && !strings.Contains(remote, "://") {
		remote = "https://" + m[1] + "/" + m[2]
	}
	u, err := url.Parse(remote)
	if err != nil || u.Hostname() == "" {
		return "", false
	}
	ssh := false
	switch strings.ToLower(u.Scheme) {
	case "http", "https":
	case "ssh", "git+ssh", "ssh+git", "git":
		ssh = true
		u.Scheme, u.Host = "https", u.Hostname() // their ports are not those of https
		if strings.Contains(u.Host, ":") {
			u.Host = "[" + u.Host + "]"
		}
	default:
		return "", false
	}
	if strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
		return "", true // a password with one of / ? # in it, of which the host is a part
	}
	_, password := u.User.Password()
	stripped = password || u.User != nil && !ssh || u.RawQuery != "" || u.Fragment != ""
	clean := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return strings.TrimSuffix(clean.String(), "/"), stripped
}
