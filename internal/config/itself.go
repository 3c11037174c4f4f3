package config

import (
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/distcache/distcache/wire"
)

// NotItself refuses servers at addresses on which the tool itself listens: it would send each request to itself,
// without end.
func NotItself(listen, servers []wire.Address) error {
	for _, s := range servers {
		for _, l := range listen {
			if reaches(s, l) {
				return Usagef("-server %v is what -listen says, %v: it would ask itself", s, l)
			}
		}
	}
	return nil
}

// reaches tells whether a connection to server arrives at listen, as far as the two addresses show that.
func reaches(server, listen wire.Address) bool {
	switch {
	case server.Network() != listen.Network():
		return false
	case server.Path() != "":
		return filepath.Clean(server.Path()) == filepath.Clean(listen.Path())
	case !samePort(server, listen):
		return false
	case listen.AllInterfaces():
		ip, err := netip.ParseAddr(server.Host())
		return strings.EqualFold(server.Host(), "localhost") || err == nil && ip.IsLoopback()
	}
	return wire.SameHost(server.Host(), listen.Host())
}

// samePort tells whether two IP addresses have a port in common: one of a version of IP that both may be of.
func samePort(a, b wire.Address) bool {
	family, other := a.Family(), b.Family()
	return a.Port() == b.Port() && a.Port() != 0 && (family == 0 || other == 0 || family == other)
}
