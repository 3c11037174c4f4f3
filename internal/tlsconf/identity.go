package tlsconf

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"

	"github.com/distcache/distcache/internal/name"
)

// A Role is what a certificate's holder may do.
type Role string

// The roles.
const (
	Node    Role = "node"    // a member of a cluster; may do all that the others may
	Client  Role = "client"  // a web server's machine: uses the cache
	Admin   Role = "admin"   // does what dc_admin does
	Monitor Role = "monitor" // reads what dc_admin shows, and metrics
)

// Roles are all roles.
var Roles = []Role{Node, Client, Admin, Monitor}

// An Identity is who a certificate's holder is. It stands in the certificate as the URI distcache://CLUSTER/ROLE/NAME,
// a subject alternative name.
type Identity struct {
	Cluster string
	Role    Role
	Name    string
}

const scheme = "distcache"

func (i Identity) String() string {
	return scheme + "://" + i.Cluster + "/" + string(i.Role) + "/" + i.Name
}

// URI is the identity as a certificate has it.
func (i Identity) URI() *url.URL {
	return &url.URL{Scheme: scheme, Host: i.Cluster, Path: "/" + string(i.Role) + "/" + i.Name}
}

// ParseIdentity reads an identity in the form of String, and nothing that only resembles it.
func ParseIdentity(s string) (Identity, error) {
	rest, ok := strings.CutPrefix(s, scheme+"://")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 {
		return Identity{}, fmt.Errorf("%.200q is not distcache://CLUSTER/ROLE/NAME", s)
	}
	i := Identity{parts[0], Role(parts[1]), parts[2]}
	if !name.Valid(i.Cluster) || !name.Valid(i.Name) {
		return Identity{}, fmt.Errorf("%.200q: a cluster and a name are %s", s, name.Rule)
	}
	if err := i.Role.check(); err != nil {
		return Identity{}, err
	}
	return i, nil
}

func (r Role) check() error {
	for _, known := range Roles {
		if r == known {
			return nil
		}
	}
	return fmt.Errorf("a role is node, client, admin or monitor, not %.100q", string(r))
}

// IdentityOf is the identity in a certificate, which must have exactly one.
func IdentityOf(c *x509.Certificate) (Identity, error) {
	var found []*url.URL
	for _, u := range c.URIs {
		if u.Scheme == scheme {
			found = append(found, u)
		}
	}
	if len(found) != 1 {
		return Identity{}, fmt.Errorf("the certificate has %d names of the form distcache://CLUSTER/ROLE/NAME, and needs one", len(found))
	}
	return ParseIdentity(found[0].String())
}
