package config

import (
	"regexp"
	"strings"

	"github.com/distcache/distcache/wire"
)

const takesAddress = "an address such as IP:127.0.0.1:9001, IP:9001 or UNIX:/path"

// Address adds a flag that takes one address, and sets its default.
func (s *Set) Address(p *wire.Address, deflt, name, usage string) (err error) {
	if *p, err = wire.ParseAddress(deflt); err != nil {
		return err
	}
	s.Func(name, "ADDR", takesAddress, deflt, usage, func(text string) error {
		a, err := wire.ParseAddress(text)
		if err == nil {
			*p = a
		}
		return err
	})
	return nil
}

// Addresses adds a flag that takes addresses, under one name or several. It may be repeated, and takes several addresses
// with commas between them; in the environment and in a file also with white space. On the command line a path may
// contain commas and white space: there a comma ends an address only if another address follows.
func (s *Set) Addresses(p *[]wire.Address, name, usage string, aliases ...string) {
	var from source // where the addresses in p come from
	add := func(text string) error {
		if len(*p) > 0 && from != s.source { // p was set under another name
			return nil
		}
		from = s.source
		words := Words(text)
		if s.source == commandLine {
			words = typedAddresses(text)
		}
		for _, word := range words {
			a, err := wire.ParseAddress(word)
			if err != nil {
				return err
			}
			*p = append(*p, a)
		}
		return nil
	}
	s.Func(name, "ADDR", takesAddress, "", usage, add)
	for _, alias := range aliases {
		s.Func(alias, "ADDR", takesAddress, "", "the same as -"+name, add)
	}
	for _, each := range append(aliases, name) {
		s.flags[each].many = true
	}
}

// nextAddress matches a comma and the beginning of the next address.
var nextAddress = regexp.MustCompile(`(?i), *(?:IP|IPv4|IPv6|UNIX|FD):`)

// typedAddresses splits a word of the command line into addresses.
func typedAddresses(text string) (words []string) {
	for {
		at := nextAddress.FindStringIndex(text)
		if at == nil {
			return append(words, text)
		}
		words = append(words, text[:at[0]])
		text = strings.TrimLeft(text[at[0]+1:], " ")
	}
}
