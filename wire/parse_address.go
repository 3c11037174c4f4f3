package wire

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// maxPath is the longest path of a unix socket: sun_path, less its final zero byte.
const maxPath = 107

// An addressError names the part of an address that is wrong.
type addressError struct{ address, problem string }

func (e *addressError) Error() string { return fmt.Sprintf("address %q: %s", e.address, e.problem) }

// ParseAddress reads an address. Its errors name the part that is wrong, and what is expected there.
func ParseAddress(s string) (Address, error) {
	a, problem := parseAddress(s)
	if problem != "" {
		return Address{}, &addressError{s, problem}
	}
	return a, nil
}

func parseAddress(s string) (a Address, problem string) {
	prefix, rest, found := strings.Cut(s, ":")
	if !found {
		return a, begins()
	}
	for i, k := range kinds {
		if i > 0 && strings.EqualFold(k.prefix, prefix) {
			a.kind = uint8(i)
		}
	}
	switch a.Network() {
	case "":
		return a, fmt.Sprintf("unknown kind %q: %s", prefix, begins())
	case "unix":
		a.path = rest
		return a, checkPath(rest)
	case "fd":
		return a, a.parseDescriptors(rest)
	}
	return a, a.parseHostPort(rest)
}

func checkPath(path string) string {
	switch {
	case path == "":
		return "the path is missing: UNIX:/path"
	case len(path) > maxPath:
		return fmt.Sprintf("the path has %d bytes, a unix socket's may have %d", len(path), maxPath)
	case strings.ContainsRune(path, 0):
		return "the path contains a zero byte"
	case path[0] == '@':
		return "a path that begins with @ is none in the file system; write ./@ for a file of that name"
	}
	return ""
}

func (a *Address) parseDescriptors(s string) string {
	read, write, pair := strings.Cut(s, ":")
	a.pair = pair
	var problem string
	if a.read, problem = parseDescriptor(read); problem != "" {
		return problem
	}
	a.write = a.read
	if pair {
		a.write, problem = parseDescriptor(write)
	}
	return problem
}

func parseDescriptor(s string) (int, string) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || !digits(s) {
		return 0, fmt.Sprintf("descriptor %q is not a number: FD:N, or FD:READ:WRITE", s)
	}
	return int(n), ""
}

func (a *Address) parseHostPort(s string) string {
	host, port := "", s
	bracketed := strings.HasPrefix(s, "[")
	if bracketed {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "the closing bracket is missing: [address]:port"
		}
		host, port = s[1:end], s[end+1:]
		if !strings.HasPrefix(port, ":") {
			return "the port is missing: [address]:port"
		}
		port = port[1:]
	} else if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i+1:]
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case port == "":
		return "the port is missing: it must be a number up to 65535"
	case err != nil || !digits(port):
		if host == "" && !bracketed {
			return fmt.Sprintf("port %q is not a number up to 65535; with a host it is HOST:PORT", port)
		}
		return fmt.Sprintf("port %q is not a number up to 65535", port)
	}
	a.port = uint16(n)
	if host == "" && !bracketed {
		return ""
	}
	a.host = host
	return a.checkHost(bracketed)
}

func (a *Address) checkHost(bracketed bool) string {
	ip, err := netip.ParseAddr(a.host)
	switch {
	case bracketed && (err != nil || !ip.Is6()):
		return fmt.Sprintf("%q in brackets is not an IPv6 address", a.host)
	case bracketed && a.version() == 4:
		return fmt.Sprintf("%q is not an IPv4 address", a.host)
	case bracketed:
		return ""
	case strings.Contains(a.host, ":"):
		return fmt.Sprintf("%q contains a colon; an IPv6 address stands in brackets, [::1]:9001", a.host)
	case err == nil && a.version() == 6:
		return fmt.Sprintf("%q is not an IPv6 address", a.host)
	case err == nil:
		return ""
	case digits(strings.ReplaceAll(a.host, ".", "")):
		return fmt.Sprintf("%q is not an IPv4 address", a.host)
	case len(a.host) > 253 || strings.ContainsFunc(a.host, notInName):
		return fmt.Sprintf("%q is not the name of a host", a.host)
	}
	return ""
}

// digits tells whether s consists of digits: no sign.
func digits(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// notInName finds the first character that no host name has. Letters beyond ASCII are left to the resolver.
func notInName(r rune) bool {
	return r <= ' ' || r == 0x7f || r == '\ufffd' || strings.ContainsRune(`/\@#?%*[](){}<>"'`+"`,;=&|$!^~+", r)
}
