package cmd

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tareml/tare/registry"
)

// hostsFlags say who answers for a registry.
type hostsFlags struct {
	dir     string
	mirrors []string
}

// registerHosts adds the flag that all commands have that talk to a registry.
func (f *hostsFlags) registerHosts(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.dir, "hosts-dir", "", "`directory` where HOST/hosts.toml names mirrors,\nas for containerd (default $TARE_HOSTS_DIR,\nelse ~/.tare/certs.d)")
}

// registerMirrors adds the flag of commands that fetch. It is parsed later: an
// address may have a password in it, which the flag library would repeat.
func (f *hostsFlags) registerMirrors(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.mirrors, "mirror", nil, "ask `[REGISTRY=]URL` first: a mirror of that\nregistry, else of any (repeatable)")
}

// mirror is a --mirror.
type mirror struct {
	registry string // the one that it is a mirror of, empty for any
	host     registry.Host
}

// lookup returns who answers for which registry: mirrors of the command line
// come first.
func (f *hostsFlags) lookup() (func(name string) (registry.Hosts, error), error) {
	var mirrors []mirror
	for _, s := range f.mirrors {
		name, host, err := registry.ParseMirror(s)
		if err != nil {
			return nil, usage(err)
		}
		mirrors = append(mirrors, mirror{name, host})
	}
	dir := f.hostsDir()
	return func(name string) (hosts registry.Hosts, err error) {
		if dir != "" {
			if hosts, err = registry.LoadHosts(dir, name); err != nil {
				return registry.Hosts{}, err
			}
		}
		var first []registry.Host
		for _, m := range mirrors {
			if m.registry == "" || m.registry == name {
				first = append(first, m.host)
			}
		}
		hosts.Mirrors = slices.Concat(first, hosts.Mirrors)
		return hosts, nil
	}, nil
}

// hostsDir is empty if there is no home to have a default in.
func (f *hostsFlags) hostsDir() string {
	if dir := cmp.Or(f.dir, os.Getenv("TARE_HOSTS_DIR")); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".tare", "certs.d")
}
