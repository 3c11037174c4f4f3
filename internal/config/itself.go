package config

import (
	"net"
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
	if server.Path() != "" || listen.Path() != "" {
		return filepath.Clean(server.Path()) == filepath.Clean(listen.Path())
	}
	host, port, ok := hostPort(server)
	own, ownPort, ok2 := hostPort(listen)
	if !ok || !ok2 || port != ownPort {
		return false
	}
	ip, err := netip.ParseAddr(host)
	if kind := listen.String(); err == nil && (strings.HasPrefix(kind, "IPv4:") && ip.Is6() || strings.HasPrefix(kind, "IPv6:") && ip.Is4()) {
		return false
	}
	local := strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
	if ownIP, err := netip.ParseAddr(own); own == "" || err == nil && ownIP.IsUnspecified() {
		return local
	}
	return wire.SameHost(host, own)
}

// hostPort are the parts of an IP address; the host is empty for all interfaces.
func hostPort(a wire.Address) (host, port string, ok bool) {
	kind, rest, _ := strings.Cut(a.String(), ":")
	if !strings.HasPrefix(kind, "IP") {
		return "", "", false
	}
	if host, port, err := net.SplitHostPort(rest); err == nil {
		return host, port, true
	}
	return "", rest, true
}
