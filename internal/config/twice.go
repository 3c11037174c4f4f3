package config

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/distcache/distcache/wire"
)

// A Place is an address on which a flag makes the tool listen.
type Place struct {
	Flag string // with its dash
	Text string // as the flag takes it
	At   wire.Address
}

// Places makes Places of the addresses of one flag.
func Places(flag string, addresses []wire.Address) (list []Place) {
	for _, at := range addresses {
		list = append(list, Place{flag, at.String(), at})
	}
	return list
}

// NotTwice refuses two places of which only one can be listened on, as far as the addresses show that. Listening would
// fail as well, but as if another process had the address.
func NotTwice(lists ...[]Place) error {
	places := slices.Concat(lists...)
	for i, p := range places {
		for _, before := range places[:i] {
			switch {
			case !same(before.At, p.At):
			case before.At == p.At && before.Flag == p.Flag:
				return Usagef("%s %s is given twice", p.Flag, p.Text)
			default:
				return Usagef("%s %s and %s %s are the same place: each needs one of its own", before.Flag, before.Text, p.Flag, p.Text)
			}
		}
	}
	return nil
}

// NoneTwice refuses servers that are given twice.
func NoneTwice(flag string, addresses []wire.Address) error {
	for i, at := range addresses {
		if slices.Contains(addresses[:i], at) {
			return Usagef("%s %v is given twice", flag, at)
		}
	}
	return nil
}

// same tells whether two addresses can't both be listened on. All interfaces include every host.
func same(a, b wire.Address) bool {
	if a.Path() != "" || b.Path() != "" {
		return reaches(a, b)
	}
	host, port, ok := hostPort(a)
	other, otherPort, ok2 := hostPort(b)
	if !ok || !ok2 {
		return a == b // descriptors
	}
	family, otherFamily := ipVersion(a), ipVersion(b)
	if port != otherPort || port == "0" || family != 0 && otherFamily != 0 && family != otherFamily {
		return false
	}
	return everyHost(host) || everyHost(other) || wire.SameHost(host, other)
}

func everyHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// ipVersion is 4 or 6 for an address of that IP version only, 0 for an address that may be of both.
func ipVersion(a wire.Address) int {
	host, _, _ := hostPort(a)
	ip, err := netip.ParseAddr(host)
	switch kind := a.String(); {
	case strings.HasPrefix(kind, "IPv4:"), err == nil && ip.Unmap().Is4():
		return 4
	case strings.HasPrefix(kind, "IPv6:"), err == nil && !ip.IsUnspecified():
		return 6
	}
	return 0
}
