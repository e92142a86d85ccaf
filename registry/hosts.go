package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

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

// LoadHosts reads which servers answer for a registry, host[:port], from the
// file hosts.toml in the first of these directories that is there, as
// containerd does: dir/HOST_PORT_, dir/HOST:PORT (without the colon on Windows),
// dir/_default. Hosts that nothing is written about are the zero Hosts.
//
// Paths in the result are absolute if dir is; the files that they name are not
// looked at. A Host that may neither pull nor resolve is no mirror for a pull.
func LoadHosts(dir, registry string) (Hosts, error) {
	if err := checkHost(registry); err != nil {
		return Hosts{}, err
	}
	home, err := hostsDir(dir, registry)
	if home == "" || err != nil {
		return Hosts{}, err
	}
	file := filepath.Join(home, "hosts.toml")
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Hosts{}, nil
	}
	if err != nil {
		return Hosts{}, fmt.Errorf("reading mirrors: %w", err)
	}
	hosts, err := parseHosts(home, string(data))
	if at, ok := errors.AsType[toml.ParseError](err); ok {
		return Hosts{}, fmt.Errorf("%s:%d: %s", file, at.Position.Line, at.Message)
	}
	if err != nil {
		return Hosts{}, fmt.Errorf("%s: %w", file, err)
	}
	return hosts, nil
}

// hostsDir is the directory that speaks for registry, or "". The first that is
// there does, even if it says nothing.
func hostsDir(dir, registry string) (string, error) {
	for _, name := range hostsDirNames(registry) {
		home := filepath.Join(dir, name)
		_, err := os.Stat(home)
		if err == nil {
			return home, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("looking for mirrors of %s: %w", registry, err)
		}
	}
	return "", nil
}

func hostsDirNames(registry string) []string {
	names := []string{registry, "_default"}
	if i := strings.LastIndexByte(registry, ':'); i > strings.LastIndexByte(registry, ']') {
		names = slices.Insert(names, 0, registry[:i]+"_"+registry[i+1:]+"_")
	}
	if runtime.GOOS == "windows" { // where no file name has a colon
		for i, name := range names {
			names[i] = strings.ReplaceAll(name, ":", "")
		}
	}
	return names
}

// ParseMirror reads a mirror as it is given on a command line: an address,
// [scheme://]HOST[:PORT][/PREFIX], or REGISTRY=ADDRESS for a mirror of that
// registry alone. Without it, registry is empty and the mirror is one of
// whatever is pulled. A mirror is pulled from, never pushed to.
func ParseMirror(s string) (registry string, h Host, err error) {
	registry, address, err := splitMirror(s)
	if err == nil {
		h.URL, err = hostURL(address, false)
	}
	if err != nil {
		return "", Host{}, fmt.Errorf("parsing a mirror: %w", err)
	}
	h.Pull, h.Resolve = true, true
	return registry, h, nil
}

func splitMirror(s string) (registry, address string, err error) {
	if err := refuseCredentials(s); err != nil {
		return "", "", err
	}
	name, address, ok := strings.Cut(s, "=")
	if !ok || strings.ContainsAny(name, "/?#") {
		return "", s, nil
	}
	name = registryOf(strings.ToLower(name))
	switch err := checkHost(name); {
	case name == "":
		return "", "", hinted(fmt.Errorf("no registry in front of = in %q", s), "a mirror is HOST, URL or REGISTRY=URL")
	case address == "":
		return "", "", hinted(fmt.Errorf("no address after = in %q", s), "a mirror is HOST, URL or REGISTRY=URL")
	case err != nil:
		return "", "", err
	case !strings.ContainsAny(name, ".:") && name != "localhost":
		return "", "", hinted(fmt.Errorf("registry %q is none that a reference can name", name),
			"the name of a registry has a dot or a port")
	}
	return name, address, nil
}

// hostURL is where the API is at an address, [scheme://]host[:port][/path]. With
// whole, the path is all there is, else /v2 comes after it.
func hostURL(address string, whole bool) (string, error) {
	if err := refuseCredentials(address); err != nil {
		return "", err
	}
	if i := strings.IndexAny(address, "?#"); i >= 0 { // what follows may be secret
		return "", hinted(fmt.Errorf("address %q has a query or a fragment", address[:i]), "leave out ? and # and what follows")
	}
	u, err := url.Parse(addScheme(address))
	if err != nil {
		return "", fmt.Errorf("address %q: %w", address, innermost(err))
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return "", hinted(fmt.Errorf("address %q: the scheme %q is neither https nor http", address, u.Scheme), "use https://"+u.Host+u.EscapedPath())
	}
	host := strings.ToLower(u.Host)
	if host == "" {
		return "", fmt.Errorf("address %q has no host", address)
	}
	if err := checkHost(host); err != nil {
		return "", fmt.Errorf("address %q: %w", address, err)
	}
	host = Reference{Registry: registryOf(host)}.host()
	root := strings.TrimSuffix(path.Clean("/"+u.EscapedPath()), "/")
	if !whole && !strings.HasSuffix(root, "/v2") {
		root += "/v2"
	}
	return u.Scheme + "://" + host + root, nil
}

// addScheme completes an address that has no scheme.
func addScheme(address string) string {
	if strings.Contains(address, "://") {
		return address
	}
	if host, _, _ := strings.Cut(address, "/"); loopback(host) {
		return "http://" + address
	}
	return "https://" + address
}

// refuseCredentials is for addresses with user info. The error does not repeat
// them.
func refuseCredentials(address string) error {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return nil
	}
	host := address[i+1:]
	if end := strings.IndexAny(host, "/?#"); end >= 0 {
		host = host[:end]
	}
	return hinted(fmt.Errorf("the address of %q has credentials in it", host), "leave them out and run: tare login "+host)
}

// hostsFile is what stands in a hosts.toml. What is at its top is about the
// server.
type hostsFile struct {
	hostTable
	Server string               `toml:"server"`
	Host   map[string]hostTable `toml:"host"`
}

type hostTable struct {
	Capabilities capabilities `toml:"capabilities"`
	CA           filePaths    `toml:"ca"`
	Client       filePairs    `toml:"client"`
	SkipVerify   bool         `toml:"skip_verify"`
	Header       headers      `toml:"header"`
	OverridePath bool         `toml:"override_path"`
	Proxy        any          `toml:"proxy"`
	DialTimeout  any          `toml:"dial_timeout"` // ours is the same for all
}

// parseHosts reads a hosts.toml that lies in dir.
func parseHosts(dir, text string) (Hosts, error) {
	var file hostsFile
	meta, err := toml.Decode(text, &file)
	if err != nil {
		return Hosts{}, err
	}
	var hosts Hosts
	for _, address := range tablesInOrder(meta) {
		mirror, err := file.Host[address].host(dir, address)
		if err != nil {
			return Hosts{}, err
		}
		hosts.Mirrors = append(hosts.Mirrors, mirror)
	}
	if hosts.Server, err = file.server(dir); err != nil {
		return Hosts{}, err
	}
	if key := unknownKey(meta); key != "" {
		return Hosts{}, hinted(fmt.Errorf("unknown key %s", key),
			"known are server, host, capabilities, ca, client, skip_verify, header, override_path")
	}
	return hosts, nil
}

// unknownKey is the first key that nobody knows, or "". The library takes upper
// case for lower case, which tablesInOrder would overlook.
func unknownKey(meta toml.MetaData) string {
	unknown := meta.Undecoded()
	for _, key := range slices.Concat(unknown, meta.Keys()) {
		if len(unknown) > 0 || key[0] != strings.ToLower(key[0]) {
			return key.String()
		}
	}
	return ""
}

// tablesInOrder are the addresses of the tables [host."ADDRESS"], which a map
// has in no order.
func tablesInOrder(meta toml.MetaData) []string {
	var addresses []string
	for _, key := range meta.Keys() {
		if len(key) > 1 && key[0] == "host" && !slices.Contains(addresses, key[1]) {
			addresses = append(addresses, key[1])
		}
	}
	return addresses
}

// server is the registry itself. Without an address it is where its name says.
func (f hostsFile) server(dir string) (Host, error) {
	if f.Server != "" {
		return f.host(dir, f.Server)
	}
	return f.at(dir, "")
}

func (t hostTable) host(dir, address string) (Host, error) {
	at, err := hostURL(address, t.OverridePath)
	if err != nil {
		return Host{}, err
	}
	return t.at(dir, at)
}

// at is the host that t describes, at url. Its files are relative to dir.
func (t hostTable) at(dir, url string) (Host, error) {
	if t.Proxy != nil { // to ignore it would send bytes where they may not go
		return Host{}, hinted(fmt.Errorf("proxy is not supported for one host alone"),
			"take it out, and use --proxy or HTTPS_PROXY and NO_PROXY")
	}
	able := t.Capabilities
	if able == (capabilities{}) {
		able = capabilities{true, true, true}
	}
	h := Host{
		URL:        url,
		Pull:       able.pull,
		Resolve:    able.resolve,
		Push:       able.push,
		Header:     http.Header(t.Header),
		SkipVerify: t.SkipVerify,
	}
	for _, file := range t.CA {
		h.CA = append(h.CA, within(dir, file))
	}
	for _, pair := range t.Client {
		h.Client = append(h.Client, [2]string{within(dir, pair[0]), within(dir, pair[1])})
	}
	return h, nil
}

// within is file as it is seen from dir.
func within(dir, file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(dir, file)
}

// capabilities are a list of words. No list and an empty one mean all of them.
type capabilities struct{ pull, resolve, push bool }

// UnmarshalTOML implements [toml.Unmarshaler].
func (c *capabilities) UnmarshalTOML(value any) error {
	words, err := oneOrMore(value)
	if err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	for _, word := range words {
		switch strings.ToLower(word) {
		case "pull":
			c.pull = true
		case "resolve":
			c.resolve = true
		case "push":
			c.push = true
		default:
			return fmt.Errorf("capabilities: %q is none of pull, resolve, push", word)
		}
	}
	return nil
}

// filePaths are one file or a list of them.
type filePaths []string

// UnmarshalTOML implements [toml.Unmarshaler].
func (p *filePaths) UnmarshalTOML(value any) error {
	files, err := oneOrMore(value)
	if err == nil && slices.Contains(files, "") {
		err = errors.New("the name of a file is empty")
	}
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	*p = files
	return nil
}

// filePairs are a certificate and its key: in one file, in each of a list of
// files, or in each of a list of pairs, whose second may be "" for the first.
type filePairs [][2]string

// UnmarshalTOML implements [toml.Unmarshaler].
func (p *filePairs) UnmarshalTOML(value any) error {
	items, ok := value.([]any)
	if !ok {
		items = []any{value}
	}
	for _, item := range items {
		files, err := oneOrMore(item)
		if err != nil {
			return fmt.Errorf("client: %w", err)
		}
		if _, pair := item.([]any); pair && len(files) != 2 {
			return errors.New("client: a pair is [certificate, key]")
		}
		if files[0] == "" {
			return errors.New("client: the name of a file is empty")
		}
		key := files[len(files)-1]
		if key == "" {
			key = files[0]
		}
		*p = append(*p, [2]string{files[0], key})
	}
	return nil
}

// headers is a table of names, each with one value or a list of them.
type headers http.Header

var headerNamePattern = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// UnmarshalTOML implements [toml.Unmarshaler]. Its errors name no values: they
// may be secret.
func (h *headers) UnmarshalTOML(value any) error {
	table, ok := value.(map[string]any)
	if !ok {
		return errors.New("header is not a table")
	}
	all := http.Header{}
	for name, value := range table {
		values, err := oneOrMore(value)
		if err != nil {
			return fmt.Errorf("header %q: %w", name, err)
		}
		if !headerNamePattern.MatchString(name) {
			return fmt.Errorf("header %q: not the name of a header", name)
		}
		for _, v := range values {
			if strings.ContainsFunc(v, isControl) {
				return fmt.Errorf("header %q: a control character in the value", name)
			}
			all.Add(name, v)
		}
	}
	*h = headers(all)
	return nil
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// oneOrMore is a string or an array of strings.
func oneOrMore(value any) ([]string, error) {
	if s, ok := value.(string); ok {
		return []string{s}, nil
	}
	items, ok := value.([]any)
	if !ok {
		return nil, errors.New("neither a string nor an array of strings")
	}
	all := make([]string, len(items))
	for i, item := range items {
		if all[i], ok = item.(string); !ok {
			return nil, errors.New("neither a string nor an array of strings")
		}
	}
	return all, nil
}
