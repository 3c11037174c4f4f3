// Package tlsconf has what TLS needs in every program: certificates with roles, loaded and loaded again when their files
// change, configurations for both ends of a connection, sentences for what goes wrong, and a small CA.
//
// A certificate says who its holder is by a URI, distcache://CLUSTER/ROLE/NAME: see [Identity]. [Load] reads a
// certificate, its key and the CA's certificate, and gives a [Source]. [Source.Server] and [Source.Client] make
// configurations that look the files' content up for each handshake, so that new files count for new connections and no
// connection is dropped. [Explain] makes one sentence of an error of a handshake.
//
// Connections are never resumed: each handshake proves the certificates that are in use.
package tlsconf

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Files are the PEM files of one party. A server needs Cert and Key, and CA to ask clients for certificates; a client
// needs CA, and Cert and Key where the server asks.
type Files struct{ Cert, Key, CA string }

// Dir names the files in a directory that the CA has made.
func Dir(dir string) Files {
	return Files{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")}
}

// material is what the files had when they were read.
type material struct {
	cert     *tls.Certificate // nil without
	identity Identity         // of cert
	pool     *x509.CertPool   // nil without
}

// A Source is the certificates of one party, as the files have them now. Any number of goroutines may use it.
type Source struct {
	files Files
	log   *slog.Logger
	now   func() time.Time
	in    atomic.Pointer[material]

	mu     sync.Mutex // of loading
	seen   string     // the files' stamps when they were loaded last
	failed string     // the stamps with which loading failed last
	warned time.Time  // when it was last said that the certificate is about to expire
}

// Load reads the files. What is not as it must be is an error that names the file.
func Load(f Files, log *slog.Logger) (*Source, error) { return load(f, log, time.Now) }

func load(f Files, log *slog.Logger, now func() time.Time) (*Source, error) {
	s := &Source{files: f, log: log, now: now}
	seen := f.stamps()
	m, err := f.read(now())
	if err != nil {
		return nil, err
	}
	s.in.Store(m)
	s.seen = seen
	return s, nil
}

// stamps change when the files do.
func (f Files) stamps() string {
	var b bytes.Buffer
	for _, path := range []string{f.Cert, f.Key, f.CA} {
		if path == "" {
			continue
		}
		fi, err := os.Stat(path)
		if err != nil {
			fmt.Fprintln(&b, err)
			continue
		}
		fmt.Fprintln(&b, fi.Size(), fi.ModTime().UnixNano(), inode(fi))
	}
	return b.String()
}

func (f Files) read(now time.Time) (*material, error) {
	m := new(material)
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, err
		}
		m.pool = x509.NewCertPool()
		if !m.pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate", f.CA)
		}
	}
	if f.Cert == "" && f.Key == "" {
		return m, nil
	}
	if f.Cert == "" || f.Key == "" {
		return nil, errors.New("a certificate and its key are needed together")
	}
	if err := private(f.Key); err != nil {
		return nil, err
	}
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", f.Cert, f.Key, err)
	}
	if m.identity, err = IdentityOf(cert.Leaf); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Cert, err)
	}
	if err := inTime(cert.Leaf, now); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Cert, err)
	}
	if m.pool != nil {
		if _, err := verify(m.pool, certificates(cert), x509.ExtKeyUsageAny, now); err != nil {
			return nil, fmt.Errorf("%s is not signed by the CA of %s: %w", f.Cert, f.CA, err)
		}
	}
	m.cert = &cert
	return m, nil
}

// private refuses a key that others could have read.
func private(path string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := fi.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s can be read or changed by others (mode %04o): a private key needs mode 0600", path, mode)
	}
	if uid, known := owner(fi); known && uid != 0 && uid != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user (%d): a private key needs to be root's or this user's", path, uid)
	}
	return nil
}

func inTime(c *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(c.NotBefore):
		return fmt.Errorf("the certificate is not valid before %s", c.NotBefore.UTC().Format(time.RFC3339))
	case now.After(c.NotAfter):
		return fmt.Errorf("the certificate has expired on %s", c.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

func certificates(c tls.Certificate) []*x509.Certificate {
	list := []*x509.Certificate{c.Leaf}
	for _, der := range c.Certificate[1:] {
		if parsed, err := x509.ParseCertificate(der); err == nil {
			list = append(list, parsed)
		}
	}
	return list
}

// verify builds a chain from the first certificate to the pool.
func verify(pool *x509.CertPool, certs []*x509.Certificate, use x509.ExtKeyUsage, now time.Time) ([][]*x509.Certificate, error) {
	between := x509.NewCertPool()
	for _, c := range certs[1:] {
		between.AddCert(c)
	}
	return certs[0].Verify(x509.VerifyOptions{
		Roots: pool, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use}})
}

// Identity is this party's own, the zero value without a certificate.
func (s *Source) Identity() Identity { return s.in.Load().identity }

// NotAfter is when this party's certificate expires, the zero time without one.
func (s *Source) NotAfter() time.Time {
	if c := s.in.Load().cert; c != nil {
		return c.Leaf.NotAfter
	}
	return time.Time{}
}

// DaysLeft is for how many days this party's certificate is valid.
func (s *Source) DaysLeft() float64 { return s.NotAfter().Sub(s.now()).Hours() / 24 }

// Reload reads the files again. If they are not as they must be, what was read before stays in use.
func (s *Source) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reload(s.files.stamps())
}

// reload is called with mu held.
func (s *Source) reload(stamps string) error {
	m, err := s.files.read(s.now())
	if err != nil {
		return err
	}
	s.in.Store(m)
	s.seen, s.failed = stamps, ""
	if m.cert != nil {
		s.log.Info("certificate loaded", "identity", m.identity, "serial", fmt.Sprintf("%x", m.cert.Leaf.SerialNumber),
			"expires", m.cert.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// lookEvery is how often Watch looks at the files.
const lookEvery = 2 * time.Second

// warnDays is for how many days a certificate must be valid not to be warned about.
const warnDays = 14

// Watch reads the files again when they have changed, until ctx ends, and warns when the certificate is about to expire.
func (s *Source) Watch(ctx context.Context) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		s.look()
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// look reads the files again if they have changed. Whoever replaces three files does one after the other: files that do
// not fit together are read again before anybody is warned.
func (s *Source) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	stamps := s.files.stamps()
	if stamps != s.seen {
		again := s.failed == stamps
		err := s.reload(stamps)
		if err != nil {
			s.failed = stamps
		}
		if err != nil && again {
			s.seen = stamps // which is not tried again until the files change
			s.log.Warn("the certificate's files have changed and can't be used; the certificate before stays in use", "error", err)
		}
	}
	if left := s.DaysLeft(); s.in.Load().cert != nil && left < warnDays && s.now().Sub(s.warned) > 24*time.Hour {
		s.warned = s.now()
		s.log.Warn("the certificate is about to expire", "identity", s.Identity(), "days", int(left), "expires", s.NotAfter().UTC().Format(time.RFC3339))
	}
}
