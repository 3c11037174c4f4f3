package config

import (
	"regexp"
	"strings"

	"github.com/distcache/distcache/wire"
)

const takesAddress = "an address such as IP:127.0.0.1:9001, IP:9001, TLS:host:9001 or UNIX:/path"

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

// Addresses adds a flag that takes an address and may be repeated, under one name or several. It takes several, with
// commas between them; in the environment and in a file white space does as well. On the command line a path may
// contain both: a comma ends an address there only where another one begins after it.
func (s *Set) Addresses(p *[]wire.Address, name, usage string, aliases ...string) {
	var from source // of those in p
	add := func(text string) error {
		if len(*p) > 0 && from != s.source { // under another name
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

// nextAddress is where an address begins after a comma.
var nextAddress = regexp.MustCompile(`(?i), *(?:` + strings.Join(wire.AddressPrefixes(), "|") + `):`)

// typedAddresses splits a word of the command line.
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
