package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A value is one flag, and its place in the tool's settings.
type value struct {
	name  string
	usage string
	deflt string             // for usage
	arg   string             // how usage names what the flag takes: ADDR
	takes string             // the same in words, for errors: an address such as ...
	set   func(string) error // its error is ErrTakes, or says more than takes does
	flag  bool               // needs no value
	many  bool               // may be repeated
	from  source             // the source that set it
	line  int                // the line of the file that set it last
}

// ErrTakes is a set function's error when the error message need only say what the flag takes.
var ErrTakes = errors.New("not that")

// wrong turns a set function's error into a sentence about the flag.
func (v *value) wrong(text string, err error) error {
	switch err {
	case nil:
		return nil
	case ErrTakes:
		return fmt.Errorf("-%s takes %s, not %q", v.name, v.takes, text)
	}
	return fmt.Errorf("-%s takes %s: %w", v.name, v.takes, err)
}

func (s *Set) add(name, usage, deflt string, v *value) {
	v.name, v.usage, v.deflt = name, usage, deflt
	s.flags[name] = v
	if len(s.groups) == 0 {
		s.Group("Flags")
	}
	g := s.groups[len(s.groups)-1]
	g.flags = append(g.flags, v)
}

// Func adds a flag whose text goes to the function set. The user sees set's error together with takes, so the error
// need not repeat that.
func (s *Set) Func(name, arg, takes, deflt, usage string, set func(text string) error) {
	s.add(name, usage, deflt, &value{arg: arg, takes: takes, set: set})
}

// into makes a set function of a parse function, which tells whether the text is valid.
func into[T any](p *T, parse func(text string) (T, bool)) func(string) error {
	return func(text string) error {
		v, ok := parse(text)
		if !ok {
			return ErrTakes
		}
		*p = v
		return nil
	}
}

// Bool adds a flag that needs no value.
func (s *Set) Bool(p *bool, name, usage string) {
	s.add(name, usage, "", &value{takes: "true or false", flag: true, set: into(p, func(text string) (v, ok bool) {
		switch strings.ToLower(text) {
		case "1", "true", "yes", "on":
			return true, true
		case "0", "false", "no", "off":
			return false, true
		}
		return false, false
	})})
}

// String adds a flag that takes any text that is not empty. takes describes the text for errors: "the path of a
// directory".
func (s *Set) String(p *string, name, arg, takes, usage string) {
	s.Func(name, arg, takes, *p, usage, into(p, func(text string) (string, bool) { return text, text != "" }))
}

// Uint64 adds a flag that takes a whole number from 0 to most.
func (s *Set) Uint64(p *uint64, most uint64, name, usage string) {
	takes := "a whole number, 0 or more"
	if most < 1<<62 {
		takes = fmt.Sprintf("a whole number from 0 to %d", most)
	}
	s.number(p, 0, most, name, takes, usage)
}

// Count adds a flag that takes a whole number from 1 to most.
func (s *Set) Count(p *uint64, most uint64, name, usage string) {
	s.number(p, 1, most, name, fmt.Sprintf("a whole number from 1 to %d", most), usage)
}

func (s *Set) number(p *uint64, least, most uint64, name, takes, usage string) {
	s.Func(name, "N", takes, strconv.FormatUint(*p, 10), usage, into(p, func(text string) (uint64, bool) {
		n, err := strconv.ParseUint(text, 10, 64)
		return n, err == nil && n >= least && n <= most
	}))
}

// Duration adds a flag that takes a length of time above 0. If the default is 0, the usage text has to explain it.
func (s *Set) Duration(p *time.Duration, name, usage string) {
	deflt := ""
	if *p != 0 {
		deflt = p.String()
	}
	s.Func(name, "DURATION", "a duration above 0 such as 2s or 500ms", deflt, usage,
		into(p, func(text string) (time.Duration, bool) {
			d, err := time.ParseDuration(text)
			return d, err == nil && d > 0
		}))
}

// Millis adds a flag that takes a length of time as a number of milliseconds, within a range.
func (s *Set) Millis(p *time.Duration, least, most time.Duration, name, usage string) {
	takes := fmt.Sprintf("a number of milliseconds from %d to %d", least.Milliseconds(), most.Milliseconds())
	s.Func(name, "MSECS", takes, strconv.FormatInt(p.Milliseconds(), 10), usage,
		into(p, func(text string) (time.Duration, bool) {
			n, err := strconv.ParseInt(text, 10, 64)
			ok := err == nil && n >= least.Milliseconds() && n <= most.Milliseconds()
			return time.Duration(n) * time.Millisecond, ok
		}))
}

// Choice adds a flag that takes one of a few words.
func (s *Set) Choice(p *string, words []string, name, usage string) {
	last := len(words) - 1
	takes := strings.Join(words[:last], ", ") + " or " + words[last]
	s.Func(name, strings.Join(words, "|"), takes, *p, usage,
		into(p, func(text string) (string, bool) { return text, slices.Contains(words, text) }))
}

// HostPort adds a flag that takes HOST:PORT; with optionalHost also :PORT, which stands for all interfaces.
func (s *Set) HostPort(p *string, optionalHost bool, name, usage string) {
	takes := "HOST:PORT such as 10.0.0.1:7001"
	if optionalHost {
		takes += " or :7001"
	}
	s.Func(name, "HOST:PORT", takes, *p, usage, func(text string) error {
		*p = text
		return CheckHostPort(text, optionalHost)
	})
}

// HostPorts adds a flag that takes one or several HOST:PORT and may be repeated.
func (s *Set) HostPorts(p *[]string, name, usage string) {
	s.List(name, "HOST:PORT,…", "HOST:PORT, or several with commas between them", usage, func(word string) error {
		*p = append(*p, word)
		return CheckHostPort(word, false)
	})
}

// List adds a flag that takes several words with commas or white space between them, and may be repeated. It calls the
// function one with each word.
func (s *Set) List(name, arg, takes, usage string, one func(word string) error) {
	s.add(name, usage, "", &value{arg: arg, takes: takes, many: true, set: func(text string) error {
		words := Words(text)
		if len(words) == 0 {
			return ErrTakes
		}
		for _, word := range words {
			if err := one(word); err != nil {
				return err
			}
		}
		return nil
	}})
}

// Words splits a list at commas and white space.
func Words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
}

// CheckHostPort says what is wrong with a HOST:PORT, if anything. An IPv6 address stands in brackets.
func CheckHostPort(s string, optionalHost bool) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		var addr *net.AddrError
		if errors.As(err, &addr) {
			return fmt.Errorf("%q: %s", s, addr.Err)
		}
		return err
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q: the port is a number from 1 to 65535", s)
	}
	if host == "" && !optionalHost {
		return fmt.Errorf("%q names no host", s)
	}
	if strings.ContainsAny(host, " \t,=/@") {
		return fmt.Errorf("%q is not a host's name or address", host)
	}
	if _, err := netip.ParseAddr(host); err != nil && strings.Contains(host, ":") {
		return fmt.Errorf("%q is not an IPv6 address", host)
	}
	return nil
}
