package config

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/distcache/distcache/internal/tlsconf"
	"github.com/distcache/distcache/wire"
)

// TLS is the settings for certificates, which all tools have.
type TLS struct {
	dir    string
	files  tlsconf.Files
	server string
	allow  []string
	min    string
	source *tlsconf.Source // nil until Load, and without certificates
}

// TLS adds the flags for certificates. Tools that listen have more of them.
func (s *Set) TLS(listens bool) *TLS {
	t := &TLS{min: "1.3"}
	s.Group("Certificates")
	s.String(&t.dir, "certs", "DIR", "the path of a directory",
		"the directory with this machine's certificate, cert.pem, its key, key.pem, and the CA's certificate, ca.pem, "+
			"as \"dc_admin certs\" makes it; needed for addresses TLS:HOST:PORT")
	s.String(&t.files.Cert, "tls-cert", "FILE", "the path of a file", "the certificate, if it is not in the -certs directory")
	s.String(&t.files.Key, "tls-key", "FILE", "the path of a file", "its key")
	s.String(&t.files.CA, "tls-ca", "FILE", "the path of a file", "the CA's certificate")
	s.String(&t.server, "tls-name", "HOST", "a host's name or address",
		"the host that a server's certificate must be for, if it is not the one in the address")
	if listens {
		s.List("tls-allow", "NAME,…", "names, with commas between them",
			"the names of the certificates whose holders may connect; without it, all of the cluster's",
			func(word string) error { t.allow = append(t.allow, word); return nil })
	}
	s.Choice(&t.min, []string{"1.2", "1.3"}, "tls-min", "the oldest version of TLS for clients")
	return t
}

// Given tells whether there are certificates.
func (t *TLS) Given() bool { return t.dir != "" || t.files != tlsconf.Files{} }

// Needed refuses addresses of TLS if there are no certificates.
func (t *TLS) Needed(flag string, addresses []wire.Address) error {
	for _, a := range addresses {
		if a.Secure() && !t.Given() {
			return Usagef("%s %v needs a certificate: give -certs DIR, a directory that \"dc_admin certs new\" has made", flag, a)
		}
	}
	return nil
}

// Load reads the certificates, if there are any.
func (t *TLS) Load(log *slog.Logger) error {
	if !t.Given() {
		return nil
	}
	files := t.files
	if t.dir != "" {
		in := tlsconf.Dir(t.dir)
		files = tlsconf.Files{Cert: cmp.Or(files.Cert, in.Cert), Key: cmp.Or(files.Key, in.Key), CA: cmp.Or(files.CA, in.CA)}
	}
	source, err := tlsconf.Load(files, log)
	if err != nil {
		return Hint(err, "-certs takes a directory that \"dc_admin certs new\" has made; -tls-cert, -tls-key and -tls-ca name single files.")
	}
	t.source = source
	return nil
}

// Source is what Load has read; nil without certificates.
func (t *TLS) Source() *tlsconf.Source { return t.source }

// Watch reads the certificates again when their files change, until ctx ends.
func (t *TLS) Watch(ctx context.Context) {
	if t.source != nil {
		t.source.Watch(ctx)
	}
}

// Reload reads the certificates again, and logs what is wrong with them.
func (t *TLS) Reload(log *slog.Logger) {
	if t.source == nil {
		return
	}
	if err := t.source.Reload(); err != nil {
		log.Warn("the certificates can't be read again; those before stay in use", "error", err)
	}
}

// WarnPlain warns about addresses at which sessions cross a network unencrypted.
func WarnPlain(log *slog.Logger, flag string, addresses []wire.Address) {
	for _, a := range addresses {
		if a.Network() == "tcp" && !a.Secure() && !a.Loopback() {
			log.Warn("sessions cross the network unencrypted, and anybody who reaches this address can read and change them: "+
				"TLS:HOST:PORT and -certs prevent that", "flag", flag, "address", a.String())
		}
	}
}

func (t *TLS) version() uint16 {
	if t.min == "1.2" {
		return tlsconf.TLS12
	}
	return tlsconf.TLS13
}

// Listening gives addresses to listen on what those of TLS need, after Load. Clients need a certificate with one of these roles, and
// one of the names in -tls-allow, if narrowed is true.
func (t *TLS) Listening(flag string, addresses []wire.Address, narrowed bool, roles ...tlsconf.Role) error {
	for i, a := range addresses {
		if !a.Secure() {
			continue
		}
		if t.source.Identity() == (tlsconf.Identity{}) {
			return Usagef("%s %v needs a certificate and its key, not only the CA's certificate: give -certs DIR", flag, a)
		}
		opts := tlsconf.ServerOptions{MinVersion: t.version(), Roles: roles}
		if narrowed {
			opts.Names = t.allow
		}
		addresses[i] = a.WithTLS(&wire.TLS{Config: t.source.Server(opts), Explain: tlsconf.Explain})
	}
	return nil
}

// Connecting gives addresses to connect to what those of TLS need, after Load. Servers need a certificate of the role node, or that
// of a machine with a dc_client.
func (t *TLS) Connecting(addresses []wire.Address) {
	for i, a := range addresses {
		if !a.Secure() {
			continue
		}
		addresses[i] = a.WithTLS(&wire.TLS{Explain: tlsconf.Explain, Config: t.source.Client(tlsconf.ClientOptions{
			MinVersion: t.version(), Host: cmp.Or(t.server, a.Host()), Roles: []tlsconf.Role{tlsconf.Node, tlsconf.Client}})})
	}
}
