package wire

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// An Address says where to listen or to connect, in the syntax that the tools take:
//
//	IP:9001, IP::9001        port 9001 on all interfaces; to listen only
//	IP:host:9001             that host or address; one of IPv6 stands in brackets, IP:[::1]:9001
//	IPv4:..., IPv6:...       the same, with that version of IP only
//	UNIX:/path               a unix domain socket
//	FD:3                     an inherited descriptor: a socket, listening or connected
//	FD:0:1                   a read and a write descriptor, which are one connection
//
// The prefix may be in any case. A host's name is looked up by each Listen and Dial, not when the address is parsed
// (as the original does), so that a client that connects again finds a server that has moved.
//
// Addresses are comparable. The zero Address is none.
type Address struct {
	kind  uint8  // in kinds
	host  string // without brackets; empty: all interfaces
	port  uint16
	path  string
	read  int // the descriptors; the same twice for one
	write int
	pair  bool
}

// kinds are the forms of an address. A new transport is one more of them, with what Listen and Dial do for its network.
var kinds = []struct {
	prefix  string
	network string
	version int // of IP; 0: either
}{
	{}, // of the zero Address
	{"IP", "tcp", 0},
	{"IPv4", "tcp", 4},
	{"IPv6", "tcp", 6},
	{"UNIX", "unix", 0},
	{"FD", "fd", 0},
}

// AddressPrefixes are what an address may begin with, in any case, before its first colon.
func AddressPrefixes() (all []string) {
	for _, k := range kinds[1:] {
		all = append(all, k.prefix)
	}
	return all
}

// begins says what an address must begin with.
func begins() string {
	all := AddressPrefixes()
	last := len(all) - 1
	return "it must begin with " + strings.Join(all[:last], ":, ") + ": or " + all[last] + ":"
}

// maxPath is the longest path of a unix socket: sun_path, less its final zero byte.
const maxPath = 107

// An addressError says which part of an address is wrong.
type addressError struct{ address, problem string }

func (e *addressError) Error() string { return fmt.Sprintf("address %q: %s", e.address, e.problem) }

// ParseAddress reads an address. Its errors name the part that is wrong and what is expected there.
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

// digits tells whether s has nothing but them, as no sign.
func digits(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// notInName finds what no host's name has; letters beyond ASCII are left to the resolver.
func notInName(r rune) bool {
	return r <= ' ' || r == 0x7f || r == '\ufffd' || strings.ContainsRune(`/\@#?%*[](){}<>"'`+"`,;=&|$!^~+", r)
}

// String is the address as ParseAddress takes it; empty for the zero Address.
func (a Address) String() string {
	prefix := kinds[a.kind].prefix + ":"
	switch a.Network() {
	case "":
		return ""
	case "unix":
		return prefix + a.path
	case "fd":
		if a.pair {
			return fmt.Sprintf("%s%d:%d", prefix, a.read, a.write)
		}
		return fmt.Sprintf("%s%d", prefix, a.read)
	}
	if a.host == "" {
		return prefix + strconv.Itoa(int(a.port))
	}
	return prefix + a.hostPort()
}

// IsZero tells whether a is no address.
func (a Address) IsZero() bool { return a == Address{} }

// Network is "tcp", "unix" or "fd"; empty for the zero Address. With String it makes an Address a [net.Addr].
func (a Address) Network() string { return kinds[a.kind].network }

// Host is that of an IP address, without brackets; empty for all interfaces, and for addresses that are not IP.
func (a Address) Host() string { return a.host }

// Port is that of an IP address, 0 for all other addresses.
func (a Address) Port() uint16 { return a.port }

// Path is that of a unix socket, empty for all other addresses.
func (a Address) Path() string { return a.path }

// Family is 4 or 6 for an address of that version of IP alone, by its prefix or by its host; 0 for one that may be of
// either, and for addresses that are not IP.
func (a Address) Family() int {
	ip, err := netip.ParseAddr(a.host)
	switch version := a.version(); {
	case version != 0 || err != nil:
		return version
	case ip.Unmap().Is4():
		return 4
	case !ip.IsUnspecified(): // who listens on :: may hear of IPv4 as well
		return 6
	}
	return 0
}

// AllInterfaces tells whether to listen on a is to listen on every interface.
func (a Address) AllInterfaces() bool {
	ip, err := netip.ParseAddr(a.host)
	return a.Network() == "tcp" && (a.host == "" || err == nil && ip.IsUnspecified())
}

func (a Address) version() int { return kinds[a.kind].version }

func (a Address) hostPort() string { return net.JoinHostPort(a.host, strconv.Itoa(int(a.port))) }

// tcp is what package net calls the network of an IP address.
func (a Address) tcp() string {
	if a.version() == 0 {
		return "tcp"
	}
	return "tcp" + strconv.Itoa(a.version())
}

// Listen listens there, until the listener is closed. A name stands for the first of its addresses.
//
// The file of a unix socket is removed when its listener is closed, if it is still the same. One that is there already
// is replaced if nobody listens on it any more, else it is an error, as is a file that is no socket.
//
// A descriptor is taken over: it can be listened on once. One that is connected already, or a pair, gives a listener
// that accepts that one connection, and says io.EOF when it has been closed.
func (a Address) Listen(ctx context.Context) (net.Listener, error) {
	switch a.Network() {
	case "":
		return nil, &addressError{"", "there is none"}
	case "unix":
		return listenUnix(ctx, a.path)
	case "fd":
		return a.listenDescriptor()
	}
	var lc net.ListenConfig
	return lc.Listen(ctx, a.tcp(), a.hostPort())
}

// CheckDial says why nobody can connect to such an address, whoever listens: it names no host, or no port.
func (a Address) CheckDial() error {
	switch {
	case a.IsZero():
		return &addressError{"", "there is none"}
	case a.Network() != "tcp":
		return nil
	case a.host == "":
		return &addressError{a.String(), "it names no host to connect to; it is for listening"}
	case a.port == 0:
		return &addressError{a.String(), "port 0 is none to connect to"}
	}
	return nil
}

// Dial connects there. Every address of a host's name is tried. A descriptor can be dialled once.
func (a Address) Dial(ctx context.Context) (net.Conn, error) {
	if err := a.CheckDial(); err != nil {
		return nil, err
	}
	var d net.Dialer
	switch a.Network() {
	case "unix":
		return d.DialContext(ctx, "unix", a.path)
	case "fd":
		return a.dialDescriptor()
	}
	return d.DialContext(ctx, a.tcp(), a.hostPort())
}

// Resolve is where Dial connects to, as package net has it; a host's name stands for the first of its addresses.
func (a Address) Resolve() (net.Addr, error) {
	switch a.Network() {
	case "tcp":
		to, err := net.ResolveTCPAddr(a.tcp(), a.hostPort())
		if err != nil {
			return nil, err // and no nil *net.TCPAddr
		}
		return to, nil
	case "unix":
		return &net.UnixAddr{Name: a.path, Net: "unix"}, nil
	}
	return nil, &addressError{a.String(), "where a descriptor leads to is not known"}
}
