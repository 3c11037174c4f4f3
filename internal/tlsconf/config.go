package tlsconf

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// Versions for MinVersion. 1.3 is the default.
const (
	TLS12 = tls.VersionTLS12
	TLS13 = tls.VersionTLS13
)

// ServerOptions are whom a server takes.
type ServerOptions struct {
	MinVersion uint16   // 0: TLS13
	Roles      []Role   // with a CA: a client needs a certificate with one of these roles
	Names      []string // not empty: and one of these names
}

// A RefusedError is a peer's certificate that is valid, and not that of whom this party talks to.
type RefusedError struct {
	Peer    Identity
	Problem string
}

func (e *RefusedError) Error() string {
	return "the certificate of " + e.Peer.String() + " " + e.Problem
}

// Server makes the configuration of a server.
func (s *Source) Server(opts ServerOptions) *tls.Config {
	if opts.MinVersion == 0 {
		opts.MinVersion = TLS13
	}
	return &tls.Config{
		MinVersion: opts.MinVersion,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			m := s.in.Load()
			if m.cert == nil {
				return nil, errors.New("this server has no certificate")
			}
			c := &tls.Config{MinVersion: opts.MinVersion, Certificates: []tls.Certificate{*m.cert}, Time: s.now,
				SessionTicketsDisabled: true}
			if m.pool != nil {
				c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, m.pool
				c.VerifyConnection = func(cs tls.ConnectionState) error {
					return m.allows(cs.PeerCertificates[0], opts.Roles, opts.Names)
				}
			}
			return c, nil
		},
	}
}

// ClientOptions are whom a client expects.
type ClientOptions struct {
	MinVersion uint16 // 0: TLS13
	// Host is what the server's certificate must be for, a DNS name or an IP address. If it is empty, the certificate's
	// role and name are what counts, and its hosts do not.
	Host  string
	Roles []Role // one of which the server needs
	Name  string // not empty: the server's name
}

// Client makes the configuration of a client. The CA is needed.
func (s *Source) Client(opts ClientOptions) *tls.Config {
	if opts.MinVersion == 0 {
		opts.MinVersion = TLS13
	}
	var names []string
	if opts.Name != "" {
		names = []string{opts.Name}
	}
	return &tls.Config{
		MinVersion: opts.MinVersion,
		ServerName: opts.Host,
		Time:       s.now,
		// The chain is verified below, against the CA of the moment.
		InsecureSkipVerify: true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if c := s.in.Load().cert; c != nil {
				return c, nil
			}
			return new(tls.Certificate), nil
		},
		VerifyConnection: func(cs tls.ConnectionState) error {
			m, server := s.in.Load(), cs.PeerCertificates[0]
			if m.pool == nil {
				return errors.New("this client has no CA")
			}
			if _, err := verify(m.pool, cs.PeerCertificates, x509.ExtKeyUsageServerAuth, s.now()); err != nil {
				return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: err}
			}
			if opts.Host != "" {
				if err := server.VerifyHostname(opts.Host); err != nil {
					return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: err}
				}
			}
			return m.allows(server, opts.Roles, names)
		},
	}
}

// allows tells whether a verified certificate is of this party's cluster, and has one of these roles and names.
func (m *material) allows(c *x509.Certificate, roles []Role, names []string) error {
	id, err := IdentityOf(c)
	switch {
	case err != nil:
		return err
	case m.cert != nil && id.Cluster != m.identity.Cluster:
		return &RefusedError{id, "is another cluster's: this one is " + m.identity.Cluster}
	case !slices.Contains(roles, id.Role):
		return &RefusedError{id, "has another role than is needed here: " + join(roles)}
	case len(names) > 0 && !slices.Contains(names, id.Name):
		return &RefusedError{id, "has another name than is needed here: " + strings.Join(names, ", ")}
	}
	return nil
}

func join(roles []Role) string {
	var words []string
	for _, r := range roles {
		words = append(words, string(r))
	}
	return strings.Join(words, " or ")
}

// PeerOf is who is at the other end of a connection after its handshake: the zero value if the peer has no certificate.
func PeerOf(c net.Conn) Identity {
	t, ok := c.(*tls.Conn)
	if !ok {
		return Identity{}
	}
	certs := t.ConnectionState().PeerCertificates
	if len(certs) == 0 {
		return Identity{}
	}
	id, _ := IdentityOf(certs[0])
	return id
}

// Nodes is the security between the nodes of a cluster: both ends have a certificate of the role node, and know each
// other by the names in them.
type Nodes struct{ *Source }

// Server makes the handshake on an accepted connection and gives the other node's name.
func (n Nodes) Server(ctx context.Context, c net.Conn) (net.Conn, string, error) {
	return handshake(ctx, tls.Server(c, n.Source.Server(ServerOptions{Roles: []Role{Node}})))
}

// Client makes the handshake on a connection to the node with a name, or to any node if the name is empty.
func (n Nodes) Client(ctx context.Context, c net.Conn, want string) (net.Conn, string, error) {
	return handshake(ctx, tls.Client(c, n.Source.Client(ClientOptions{Roles: []Role{Node}, Name: want})))
}

// Certificate is whose certificate a node has, and when it expires.
func (n Nodes) Certificate() (identity string, expires time.Time) {
	return n.Identity().String(), n.NotAfter().UTC()
}

func handshake(ctx context.Context, c *tls.Conn) (net.Conn, string, error) {
	if err := Handshake(ctx, c); err != nil {
		return nil, "", err
	}
	return c, PeerOf(c).Name, nil
}

// Check tells whether a source will do for the node with a name.
func (n Nodes) Check(name string) error {
	m := n.in.Load()
	switch {
	case m.cert == nil || m.pool == nil:
		return errors.New("nodes need a certificate, its key, and the CA's certificate")
	case m.identity.Role != Node:
		return fmt.Errorf("nodes need a certificate of the role node, not that of %s", m.identity)
	case m.identity.Name != name:
		return fmt.Errorf("the certificate is that of %s, and this node is called %s", m.identity, name)
	}
	return nil
}
