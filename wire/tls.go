package wire

import (
	"context"
	"crypto/tls"
	"net"
)

// Secure tells whether connections to or from the address are made with TLS.
func (a Address) Secure() bool { return kinds[a.kind].secure }

// TLS is what an address of the form TLS: needs to listen or to connect.
type TLS struct {
	// Config is the configuration of a server, to listen, or of a client, to connect. If a client's ServerName is
	// empty, it is the host of the address.
	Config *tls.Config
	// Explain, if not nil, makes errors of handshakes and reads easier to understand. It returns errors that have
	// nothing to do with TLS as they are.
	Explain func(error) error
}

// WithTLS returns an address of the form TLS: with t, other addresses unchanged. Addresses that were equal before are
// equal with the same t.
func (a Address) WithTLS(t *TLS) Address {
	if a.Secure() {
		a.tls = t
	}
	return a
}

// A tlsListener accepts connections before their handshakes, which [tls.Conn.HandshakeContext] or the first read makes.
// Its deadline is that of the TCP listener.
type tlsListener struct {
	*net.TCPListener
	config *tls.Config
}

func (l *tlsListener) Accept() (net.Conn, error) {
	c, err := l.TCPListener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(c, l.config), nil
}

// secureListener returns l, with TLS on its connections.
func (a Address) secureListener(l net.Listener) net.Listener {
	return &tlsListener{l.(*net.TCPListener), a.tls.Config}
}

func (a Address) needsTLS() error {
	return &addressError{a.String(), "it needs a certificate"}
}

// secured makes the handshake on a connection, as a client.
func (a Address) secured(ctx context.Context, c net.Conn) (net.Conn, error) {
	config := a.tls.Config
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName = a.host
	}
	t := tls.Client(c, config)
	err := t.HandshakeContext(ctx)
	if err == nil && a.tls.Explain == nil {
		return t, nil
	}
	s := &secureConn{t, a.tls.Explain}
	if err != nil {
		c.Close()
		return nil, s.explained(err)
	}
	return s, nil
}

// A secureConn explains the errors of reading: a server that refuses a client's certificate says so only after the
// handshake.
type secureConn struct {
	*tls.Conn
	explain func(error) error
}

func (c *secureConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.explained(err)
}

func (c *secureConn) explained(err error) error {
	if err == nil || c.explain == nil {
		return err
	}
	return c.explain(err)
}
