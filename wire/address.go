package wire

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// An Address says where to listen or where to connect to, in the syntax that the tools take:
//
//	IP:9001, IP::9001        port 9001 on all interfaces; to listen only
//	IP:host:9001             that host name or address; an IPv6 address stands in brackets: IP:[::1]:9001
//	IPv4:..., IPv6:...       the same, with only that version of IP
//	TLS:host:9001            with TLS; see WithTLS
//	UNIX:/path               a unix domain socket
//	FD:3                     an inherited descriptor: a socket, listening or connected
//	FD:0:1                   a read and a write descriptor, which are one connection
//
// The prefix may be in any case. A host's name is looked up by each Listen and Dial; the original does so when it
// parses the address. So a client that connects again finds a server that has moved.
//
// Addresses are comparable. The zero Address is no address.
type Address struct {
	kind  uint8  // in kinds
	host  string // without brackets; empty: all interfaces
	port  uint16
	path  string
	read  int // the two descriptors, equal for a single one
	write int
	pair  bool
	tls   *TLS // of TLS:, nil until WithTLS
}

// kinds are the forms of an address. A new transport is a new kind, plus what Listen and Dial do for its network.
var kinds = []struct {
	prefix  string
	network string
	version int // of IP; 0: either
	secure  bool
}{
	{}, // of the zero Address
	{prefix: "IP", network: "tcp"},
	{prefix: "IPv4", network: "tcp", version: 4},
	{prefix: "IPv6", network: "tcp", version: 6},
	{prefix: "TLS", network: "tcp", secure: true},
	{prefix: "UNIX", network: "unix"},
	{prefix: "FD", network: "fd"},
}

// AddressPrefixes are what an address may begin with before its first colon, in any case.
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

// Host is the host of an IP address, without brackets. It is empty for all interfaces, and for addresses that are not
// IP.
func (a Address) Host() string { return a.host }

// Port is the port of an IP address, 0 for all other addresses.
func (a Address) Port() uint16 { return a.port }

// Path is the path of a unix socket, empty for all other addresses.
func (a Address) Path() string { return a.path }

// Family is 4 or 6 for an address that is of only that version of IP, by its prefix or its host. It is 0 for an address
// that may be of either version, and for addresses that are not IP.
func (a Address) Family() int {
	ip, err := netip.ParseAddr(a.host)
	switch version := a.version(); {
	case version != 0 || err != nil:
		return version
	case ip.Unmap().Is4():
		return 4
	case !ip.IsUnspecified(): // a listener on :: may accept IPv4 as well
		return 6
	}
	return 0
}

// AllInterfaces tells whether a listener on a listens on every interface.
func (a Address) AllInterfaces() bool {
	ip, err := netip.ParseAddr(a.host)
	return a.Network() == "tcp" && (a.host == "" || err == nil && ip.IsUnspecified())
}

// Loopback tells whether an IP address is one of this machine alone.
func (a Address) Loopback() bool {
	ip, err := netip.ParseAddr(a.host)
	return strings.EqualFold(a.host, "localhost") || err == nil && ip.IsLoopback()
}

func (a Address) version() int { return kinds[a.kind].version }

func (a Address) hostPort() string { return net.JoinHostPort(a.host, strconv.Itoa(int(a.port))) }

// tcp is package net's name for the network of an IP address.
func (a Address) tcp() string {
	if a.version() == 0 {
		return "tcp"
	}
	return "tcp" + strconv.Itoa(a.version())
}

// Listen listens on a until the listener is closed. Of a host name's addresses, the first is used.
//
// The file of a unix socket is removed when its listener is closed, unless another file has taken its place. A socket
// file that is there already is replaced if nobody listens on it any more. Otherwise it is an error, as is a file that
// is no socket.
//
// A descriptor is taken over: it can be listened on once. A descriptor that is connected already, or a pair of
// descriptors, gives a listener that accepts that one connection, and returns io.EOF once the connection has been
// closed.
func (a Address) Listen(ctx context.Context) (net.Listener, error) {
	switch a.Network() {
	case "":
		return nil, &addressError{"", "there is none"}
	case "unix":
		return listenUnix(ctx, a.path)
	case "fd":
		return a.listenDescriptor()
	}
	if a.Secure() && a.tls == nil {
		return nil, a.needsTLS()
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, a.tcp(), a.hostPort())
	if err != nil || !a.Secure() {
		return l, err
	}
	return a.secureListener(l), nil
}

// CheckDial returns an error for an address that can't be dialled, whoever listens: it names no host, or no port.
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

// Dial connects to a. All addresses of a host name are tried. A descriptor can be dialled once.
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
	if a.Secure() && a.tls == nil {
		return nil, a.needsTLS()
	}
	c, err := d.DialContext(ctx, a.tcp(), a.hostPort())
	if err != nil || !a.Secure() {
		return c, err
	}
	return a.secured(ctx, c)
}

// Resolve returns the address that Dial connects to, as package net has it. Of a host name's addresses, it is the
// first.
func (a Address) Resolve() (net.Addr, error) {
	switch a.Network() {
	case "tcp":
		to, err := net.ResolveTCPAddr(a.tcp(), a.hostPort())
		if err != nil {
			return nil, err // not a nil *net.TCPAddr in an interface
		}
		return to, nil
	case "unix":
		return &net.UnixAddr{Name: a.path, Net: "unix"}, nil
	}
	return nil, &addressError{a.String(), "where a descriptor leads to is not known"}
}
