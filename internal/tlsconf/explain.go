package tlsconf

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

// An explained error has a sentence, and the error that is explained.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

// Explain makes one sentence of an error of a handshake, or of the first read after it, since a server that refuses a
// certificate says so only then. Errors that have nothing to do with TLS stay as they are.
func Explain(err error) error {
	if text := explain(err); text != "" {
		return &explained{text, err}
	}
	return err
}

// Handshake makes a connection's handshake. An error is explained.
func Handshake(ctx context.Context, c *tls.Conn) error {
	err := c.HandshakeContext(ctx)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return &explained{"the peer closed the connection during the handshake: it may not speak TLS there", err}
	}
	return Explain(err)
}

// IsExplained tells whether an error, or what it wraps, was explained.
func IsExplained(err error) bool { return errors.As(err, new(*explained)) }

func explain(err error) string {
	var refused *RefusedError
	var record tls.RecordHeaderError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var op *net.OpError
	switch {
	case errors.As(err, new(*explained)):
		return ""
	case errors.As(err, &refused):
		return refused.Error()
	case errors.As(err, &record):
		return "the peer does not speak TLS"
	case errors.As(err, &unknown):
		return "the peer's certificate is of another CA"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		// This is said of certificates that are not valid yet, too.
		if c := invalid.Cert; c != nil && time.Now().Before(c.NotBefore) {
			return fmt.Sprintf("the peer's certificate is not valid before %s", c.NotBefore.UTC().Format(time.RFC3339))
		} else if c != nil {
			return fmt.Sprintf("the peer's certificate has expired on %s", c.NotAfter.UTC().Format(time.RFC3339))
		}
		return "the peer's certificate has expired"
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return "the peer's certificate is not made for this end of a connection"
	case errors.As(err, &host):
		return "the peer's certificate is not for " + host.Host + ", but for " + Info{Hosts: hosts(host.Certificate)}.Reach()
	case errors.As(err, &op) && op.Op == "remote error": // an alert, of a type that crypto/tls keeps for itself
		return alerts(op.Err.Error())
	// crypto/tls has no type for this error.
	case err != nil && strings.Contains(err.Error(), "client didn't provide a certificate"):
		return "the peer has no certificate"
	}
	return ""
}

// Alerts by which a peer says what was wrong with this end (RFC 8446, section 6).
const (
	alertHandshakeFailure    = 40
	alertBadCertificate      = 42
	alertCertificateExpired  = 45
	alertUnknownCA           = 48
	alertProtocolVersion     = 70
	alertCertificateRequired = 116
)

func alerts(text string) string {
	is := func(a tls.AlertError) bool { return text == a.Error() }
	switch {
	case is(alertBadCertificate):
		return "the peer refuses this side's certificate; its log says why"
	case is(alertCertificateExpired):
		return "the peer says that this side's certificate is not valid now"
	case is(alertUnknownCA):
		return "the peer says that this side's certificate is of another CA"
	case is(alertCertificateRequired):
		return "the peer wants a certificate, and this side has none"
	case is(alertProtocolVersion), is(alertHandshakeFailure):
		return "the peer wants another version of TLS"
	}
	return "the peer ended the handshake: " + text
}
