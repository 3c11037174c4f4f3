package config

import (
	"slices"

	"github.com/distcache/distcache/wire"
)

// A Place is an address that a flag has the tool listen on.
type Place struct {
	Flag string // with its dash
	Text string // as the flag takes it
	At   wire.Address
}

// Places are the addresses of one flag.
func Places(flag string, addresses []wire.Address) (list []Place) {
	for _, at := range addresses {
		list = append(list, Place{flag, at.String(), at})
	}
	return list
}

// NotTwice refuses two places where only one can listen, as far as the two show that: the second would find the first
// in its way, and it would look like another process.
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

// same tells whether two places to listen on are one: all interfaces have every host of theirs among them.
func same(a, b wire.Address) bool {
	if a.Network() == "fd" {
		return a == b
	}
	return reaches(a, b) || a.Network() == b.Network() && samePort(a, b) && (a.AllInterfaces() || b.AllInterfaces())
}
