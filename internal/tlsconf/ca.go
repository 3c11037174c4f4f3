package tlsconf

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/distcache/distcache/internal/name"
)

const (
	caLife = 10 * 365 * 24 * time.Hour
	// backdated is how long before it is made a certificate is valid, for machines whose clocks are behind.
	backdated = 10 * time.Minute

	// DefaultLife and MaxLife are for how long a certificate is valid.
	DefaultLife = 365 * 24 * time.Hour
	MaxLife     = 825 * 24 * time.Hour

	caCert = "ca.pem"
	caKey  = "ca-key.pem"
)

// InitCA makes a CA for a cluster in a directory, which it makes too. It overwrites nothing.
func InitCA(dir, cluster string, now time.Time) error {
	if !name.Valid(cluster) {
		return fmt.Errorf("a cluster's name is %s, not %q", name.Rule, cluster)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := newSerial()
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: cluster, Organization: []string{caOrganization}},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.Add(caLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	if err := writeKey(filepath.Join(dir, caKey), key, false); err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, caCert), "CERTIFICATE", der, 0o644, false)
}

const caOrganization = "distcache CA"

// A Request is for a certificate.
type Request struct {
	Role  Role
	Name  string
	Hosts []string      // DNS names and IP addresses at which clients reach the holder
	Life  time.Duration // 0: DefaultLife
	Force bool          // replace the files that are there
}

// NewCert makes DIR/NAME with a certificate by the CA in DIR, its key, and the CA's certificate.
func NewCert(dir string, r Request, now time.Time) (made string, err error) {
	if !name.Valid(r.Name) {
		return "", fmt.Errorf("a name is %s, not %q", name.Rule, r.Name)
	}
	if err := r.Role.check(); err != nil {
		return "", err
	}
	if r.Life == 0 {
		r.Life = DefaultLife
	}
	if r.Life < time.Hour || r.Life > MaxLife {
		return "", fmt.Errorf("a certificate is valid for an hour to %d days, not %v", int(MaxLife.Hours()/24), r.Life)
	}
	caCertificate, signer, err := readCA(dir)
	if err != nil {
		return "", err
	}
	id := Identity{caCertificate.Subject.CommonName, r.Role, r.Name}
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: r.Name, OrganizationalUnit: []string{string(r.Role)}},
		NotBefore:   now.Add(-backdated),
		NotAfter:    now.Add(r.Life),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	t.URIs = append(t.URIs, id.URI())
	if r.Role == Node || r.Role == Client { // a machine with dc_client may listen as well
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, h := range r.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else if validHost(h) {
			t.DNSNames = append(t.DNSNames, h)
		} else {
			return "", fmt.Errorf("a host is a DNS name or an IP address without port, not %q", h)
		}
	}
	if t.NotAfter.After(caCertificate.NotAfter) {
		t.NotAfter = caCertificate.NotAfter
	}
	if t.SerialNumber, err = newSerial(); err != nil {
		return "", err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, caCertificate, key.Public(), signer)
	if err != nil {
		return "", err
	}
	return writeCert(filepath.Join(dir, r.Name), r.Force, der, key, caCertificate.Raw)
}

// writeCert writes the three files. A program that runs reads them when all three fit together.
func writeCert(dir string, force bool, der []byte, key *ecdsa.PrivateKey, ca []byte) (string, error) {
	f := Dir(dir)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if err := writeKey(f.Key, key, force); err != nil {
		return "", err
	}
	if err := writePEM(f.CA, "CERTIFICATE", ca, 0o644, force); err != nil {
		return "", err
	}
	return dir, writePEM(f.Cert, "CERTIFICATE", der, 0o644, force)
}

var dnsName = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$`)

func validHost(h string) bool { return len(h) <= 253 && dnsName.MatchString(h) }

func readCA(dir string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	f := Files{Cert: filepath.Join(dir, caCert), Key: filepath.Join(dir, caKey)}
	if _, err := os.Stat(f.Key); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("there is no CA in %s: %s is missing", dir, caKey)
	}
	if err := private(f.Key); err != nil {
		return nil, nil, err
	}
	der, err := readPEM(f.Cert, "CERTIFICATE")
	if err != nil {
		return nil, nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.Cert, err)
	}
	if !c.IsCA || !name.Valid(c.Subject.CommonName) {
		return nil, nil, fmt.Errorf("%s is not a CA's certificate whose subject is a cluster's name", f.Cert)
	}
	if der, err = readPEM(f.Key, "PRIVATE KEY"); err != nil {
		return nil, nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.Key, err)
	}
	k, ok := key.(*ecdsa.PrivateKey)
	if !ok || !k.PublicKey.Equal(c.PublicKey) {
		return nil, nil, fmt.Errorf("%s is not the key of %s", f.Key, f.Cert)
	}
	return c, k, nil
}

// Info is what a certificate says.
type Info struct {
	Identity            Identity
	Hosts               []string
	NotBefore, NotAfter time.Time
	Serial              string
}

// Reach is the hosts, as a phrase.
func (i Info) Reach() string {
	if len(i.Hosts) == 0 {
		return "no host"
	}
	return strings.Join(i.Hosts, ", ")
}

// Show reads the certificate in a directory that NewCert made.
func Show(dir string) (Info, error) {
	f := Dir(dir)
	der, err := readPEM(f.Cert, "CERTIFICATE")
	if err != nil {
		return Info{}, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return Info{}, fmt.Errorf("%s: %w", f.Cert, err)
	}
	id, err := IdentityOf(c)
	if err != nil {
		return Info{}, fmt.Errorf("%s: %w", f.Cert, err)
	}
	return Info{id, hosts(c), c.NotBefore.UTC(), c.NotAfter.UTC(), fmt.Sprintf("%x", c.SerialNumber)}, nil
}

// hosts are what a certificate's holder is reached by.
func hosts(c *x509.Certificate) []string {
	list := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		list = append(list, ip.String())
	}
	return list
}

func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

func writeKey(path string, key *ecdsa.PrivateKey, force bool) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "PRIVATE KEY", der, 0o600, force)
}

// writePEM writes a file, whole or not at all. It replaces a file only with force.
func writePEM(path, kind string, der []byte, mode fs.FileMode, force bool) error {
	if _, err := os.Lstat(path); err == nil && !force {
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	err = errors.Join(pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func readPEM(path, kind string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s is not a PEM file with a %s", path, kind)
	}
	return block.Bytes, nil
}
