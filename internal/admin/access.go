package admin

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/distcache/distcache/internal/tlsconf"
)

// Who may do what: over a unix socket, whose file's mode is the authentication, and with a certificate of the roles
// admin and node, everything; with one of the role monitor, and over plain TCP, reading.

// Names are what this server may be called in requests over TCP, besides IP addresses and localhost.
func (s *Server) Names(names ...string) {
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	s.names = names
}

// denied is why a request is refused, nil if it is allowed.
func (s *Server) denied(r *http.Request) *Error {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local != nil && local.Network() == "unix" {
		return nil
	}
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		id, err := tlsconf.IdentityOf(r.TLS.PeerCertificates[0])
		switch {
		case err != nil:
			return &Error{Code: http.StatusForbidden, Message: err.Error()}
		case reading, id.Role == tlsconf.Admin, id.Role == tlsconf.Node:
			return nil
		}
		return &Error{
			Code:    http.StatusForbidden,
			Message: "a certificate of the role " + string(id.Role) + " may only read",
			Hint:    "A certificate of the role admin may change the cluster: \"dc_admin certs new DIR admin NAME\" makes one.",
		}
	}
	switch {
	case !reading:
		return &Error{
			Code:    http.StatusForbidden,
			Message: "the cluster cannot be changed over TCP, where nothing says who is asking",
			Hint: "On the node itself, connect to its admin socket: UNIX:<its data directory>/admin.sock. From elsewhere, connect to " +
				"TLS:HOST:PORT with a certificate of the role admin.",
		}
	case !s.named(r.Host):
		return &Error{
			Code:    http.StatusForbidden,
			Message: "this server does not go by the name in the request's Host header",
			Hint:    "Use its IP address, or the name in its -admin.",
		}
	}
	return nil
}

// named tells whether a request's Host is this server: a web page whose own name leads to this machine's address is not
// to read what is here.
func (s *Server) named(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if _, err := netip.ParseAddr(host); err == nil || host == "" || strings.EqualFold(host, "localhost") {
		return true
	}
	return slices.ContainsFunc(s.names, func(name string) bool {
		short, _, _ := strings.Cut(host, ".")
		return strings.EqualFold(host, name) || strings.EqualFold(short, name) // a host's name without its domain
	})
}
