package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/tlsconf"
)

func certsCommand() *command {
	return &command{
		name:     "certs",
		operands: "init DIR [-name CLUSTER] | new DIR ROLE NAME [HOST...] [-days N] [-force] | show DIR",
		summary:  "make certificates for TLS, without a server",
		about: `"certs init DIR" makes a small CA in a directory, for one cluster, which -name names. Keep that
directory where nobody else reads it, best on a machine that is neither a node nor a web server.

"certs new DIR ROLE NAME HOST..." makes a certificate by the CA in DIR. DIR/NAME then has cert.pem,
key.pem and ca.pem: copy that directory to its machine, and name it with -certs. NAME is a node's
-node, or what you like to call a machine. Each HOST is a DNS name or an IP address at which others
connect to it. The roles are
  node      a dc_server; NAME must be its -node
  client    a web server's machine: dc_client, and programs with the client library
  admin     may do with dc_admin what the admin socket can
  monitor   may read with dc_admin, and fetch metrics
-force replaces a certificate that is there. A running program notices the new files by itself.

"certs show DIR" shows whose certificate cert.pem in DIR is and for how long it is valid.`,
		flags: []string{"name", "days", "force"},
		run:   certs,
	}
}

func certs(_ context.Context, c *call) error {
	if len(c.operands) < 2 {
		return config.Usagef("certs takes init DIR, new DIR ROLE NAME, or show DIR")
	}
	dir, rest := c.operands[1], c.operands[2:]
	switch verb := c.operands[0]; verb {
	case "init":
		if len(rest) > 0 {
			return config.Usagef("certs init takes one directory, and was given %q too", rest[0])
		}
		return c.initCerts(dir)
	case "new":
		if len(rest) < 2 {
			return config.Usagef("certs new takes a directory, a role (node, client, admin or monitor) and a name")
		}
		return c.newCert(dir, tlsconf.Request{Role: tlsconf.Role(rest[0]), Name: rest[1], Hosts: rest[2:]})
	case "show":
		if len(rest) > 0 {
			return config.Usagef("certs show takes one directory, and was given %q too", rest[0])
		}
		return c.showCert(dir)
	default:
		return config.Usagef("certs takes init, new or show, not %q", verb)
	}
}

func (c *call) initCerts(dir string) error {
	if err := tlsconf.InitCA(dir, c.name, time.Now()); err != nil {
		return err
	}
	return c.done("%s is the CA of the cluster %s. Its key, ca-key.pem, makes members and admins: keep it to yourself.",
		clean(dir), c.name)
}

func (c *call) newCert(dir string, r tlsconf.Request) error {
	r.Life, r.Force = time.Duration(c.days)*24*time.Hour, c.force
	made, err := tlsconf.NewCert(dir, r, time.Now())
	if errors.Is(err, fs.ErrExist) {
		return config.Hint(err, "-force replaces it.")
	}
	if err != nil {
		return err
	}
	return c.showCert(made)
}

// A certificate is the JSON output of certs show.
type certificate struct {
	Dir       string    `json:"dir"`
	Identity  string    `json:"identity"`
	Hosts     []string  `json:"hosts"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Days      int       `json:"days_left"`
	Serial    string    `json:"serial"`
}

func (c *call) showCert(dir string) error {
	info, err := tlsconf.Show(dir)
	if err != nil {
		return err
	}
	out := certificate{dir, info.Identity.String(), info.Hosts, info.NotBefore, info.NotAfter,
		int(time.Until(info.NotAfter).Hours() / 24), info.Serial}
	if c.json {
		return c.print(out)
	}
	_, err = fmt.Fprintf(c.out, "%s: %s, for %s, until %s (%d days)\n", clean(dir), out.Identity, info.Reach(),
		out.NotAfter.Format(time.DateOnly), out.Days)
	return err
}
