package config

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A value is one flag's place in the tool's settings.
type value struct {
	name  string
	arg   string             // how usage names what it takes: ADDR
	takes string             // the same in words, for errors: an address such as ...
	set   func(string) error // its error, if it says more than takes does, or ErrTakes
	get   func() string      // the default, for usage
	flag  bool               // needs no value
	many  bool               // may be repeated
}

// ErrTakes is a set function's error when there is no more to say than what the flag takes, which it is not.
var ErrTakes = errors.New("not that")

// A valueError is a value that its flag does not take.
type valueError struct {
	name, value, takes string
	err                error
}

func (e *valueError) Error() string {
	if e.err == ErrTakes {
		return fmt.Sprintf("-%s takes %s, not %q", e.name, e.takes, e.value)
	}
	return fmt.Sprintf("-%s takes %s: %v", e.name, e.takes, e.err)
}

func (e *valueError) Unwrap() error { return e.err }

// String and Set make a value a [flag.Value].
func (v *value) String() string {
	if v.get == nil {
		return ""
	}
	return v.get()
}

// Set takes the flag's value from text.
func (v *value) Set(text string) error {
	if err := v.set(text); err != nil {
		return &valueError{v.name, text, v.takes, err}
	}
	return nil
}

func (s *Set) add(name string, v *value, usage string) {
	v.name = name
	s.flags.Var(v, name, usage)
	if len(s.groups) == 0 {
		s.Group("Flags")
	}
	g := s.groups[len(s.groups)-1]
	f := s.flags.Lookup(name)
	f.DefValue = v.String()
	g.flags = append(g.flags, f)
}

var _ flag.Value = (*value)(nil)

// Bool adds a flag that needs no value.
func (s *Set) Bool(p *bool, name, usage string) {
	s.add(name, &value{takes: "true or false", flag: true, set: func(v string) (err error) {
		switch strings.ToLower(v) {
		case "1", "true", "yes", "on":
			*p = true
		case "0", "false", "no", "off":
			*p = false
		default:
			err = ErrTakes
		}
		return err
	}}, usage)
}

// String adds a flag that takes any text but none, described for errors ("the path of a directory").
func (s *Set) String(p *string, name, arg, takes, usage string) {
	s.add(name, &value{arg: arg, takes: takes, set: func(v string) error {
		if v == "" {
			return ErrTakes
		}
		*p = v
		return nil
	}, get: func() string { return *p }}, usage)
}

// Uint64 adds a flag that takes a whole number up to a greatest one.
func (s *Set) Uint64(p *uint64, most uint64, name, usage string) {
	takes := "a whole number, 0 or more"
	if most < 1<<62 {
		takes = fmt.Sprintf("a whole number from 0 to %d", most)
	}
	s.add(name, &value{arg: "N", takes: takes, set: func(v string) error {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil || n > most {
			return ErrTakes
		}
		*p = n
		return nil
	}, get: func() string { return strconv.FormatUint(*p, 10) }}, usage)
}

// Count adds a flag that takes a whole number from 1 up to a greatest one.
func (s *Set) Count(p *uint64, most uint64, name, usage string) {
	s.add(name, &value{arg: "N", takes: fmt.Sprintf("a whole number from 1 to %d", most), set: func(v string) error {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil || n < 1 || n > most {
			return ErrTakes
		}
		*p = n
		return nil
	}, get: func() string { return strconv.FormatUint(*p, 10) }}, usage)
}

// Duration adds a flag that takes a length of time above 0. A default of 0 is for the usage text to explain.
func (s *Set) Duration(p *time.Duration, name, usage string) {
	s.add(name, &value{arg: "DURATION", takes: "a duration above 0 such as 2s or 500ms", set: func(v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d <= 0 {
			return ErrTakes
		}
		*p = d
		return nil
	}, get: func() string {
		if *p == 0 {
			return ""
		}
		return p.String()
	}}, usage)
}

// Millis adds a flag that takes a length of time as a number of milliseconds, within a range.
func (s *Set) Millis(p *time.Duration, least, most time.Duration, name, usage string) {
	takes := fmt.Sprintf("a number of milliseconds from %d to %d", least.Milliseconds(), most.Milliseconds())
	s.add(name, &value{arg: "MSECS", takes: takes, set: func(v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < least.Milliseconds() || n > most.Milliseconds() {
			return ErrTakes
		}
		*p = time.Duration(n) * time.Millisecond
		return nil
	}, get: func() string { return strconv.FormatInt(p.Milliseconds(), 10) }}, usage)
}

// Choice adds a flag that takes one of a few words.
func (s *Set) Choice(p *string, words []string, name, usage string) {
	s.add(name, &value{arg: strings.Join(words, "|"), takes: oneOf(words), set: func(v string) error {
		if !slices.Contains(words, v) {
			return ErrTakes
		}
		*p = v
		return nil
	}, get: func() string { return *p }}, usage)
}

func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// HostPort adds a flag that takes HOST:PORT; with optionalHost also :PORT, which stands for all interfaces.
func (s *Set) HostPort(p *string, optionalHost bool, name, usage string) {
	takes := "HOST:PORT such as 10.0.0.1:7001"
	if optionalHost {
		takes += " or :7001"
	}
	s.add(name, &value{arg: "HOST:PORT", takes: takes, set: func(v string) error {
		if err := CheckHostPort(v, optionalHost); err != nil {
			return err
		}
		*p = v
		return nil
	}, get: func() string { return *p }}, usage)
}

// HostPorts adds a flag that takes one or several HOST:PORT and may be repeated.
func (s *Set) HostPorts(p *[]string, name, usage string) {
	s.List(name, "HOST:PORT,…", "HOST:PORT, or several with commas between them", usage, func(word string) error {
		if err := CheckHostPort(word, false); err != nil {
			return err
		}
		*p = append(*p, word)
		return nil
	})
}

// value is a flag's, by name.
func (s *Set) value(name string) *value { return s.flags.Lookup(name).Value.(*value) }

// Func adds a flag whose text goes to a function. Its error, which need not repeat what the flag takes, is shown.
func (s *Set) Func(name, arg, takes, deflt, usage string, set func(text string) error) {
	s.add(name, &value{arg: arg, takes: takes, set: set, get: func() string { return deflt }}, usage)
}

// List adds a flag that takes several words with commas or white space between them, and may be repeated: one is
// called with each.
func (s *Set) List(name, arg, takes, usage string, one func(word string) error) {
	s.add(name, &value{arg: arg, takes: takes, many: true, set: func(v string) error {
		words := Words(v)
		if len(words) == 0 {
			return ErrTakes
		}
		for _, word := range words {
			if err := one(word); err != nil {
				return err
			}
		}
		return nil
	}}, usage)
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
