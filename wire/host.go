package wire

import (
	"net/netip"
	"strings"
)

// SameHost tells whether two hosts are the same but for their spelling: names may differ in case, and an IPv4 address
// may be written as an IPv6 one. No name is resolved.
func SameHost(a, b string) bool {
	ip, err := netip.ParseAddr(a)
	other, err2 := netip.ParseAddr(b)
	if err == nil && err2 == nil {
		return ip.Unmap() == other.Unmap()
	}
	return strings.EqualFold(a, b)
}
