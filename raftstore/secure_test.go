package raftstore_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/internal/tlsconf"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
)

// An authority makes certificates for tests.
type authority struct {
	t   testing.TB
	dir string
}

func newAuthority(t testing.TB) authority {
	a := authority{t, t.TempDir()}
	if err := tlsconf.InitCA(a.dir, "test", time.Now()); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a authority) issue(role tlsconf.Role, name string) *tlsconf.Source {
	a.t.Helper()
	made, err := tlsconf.NewCert(a.dir, tlsconf.Request{Role: role, Name: name, Force: true}, time.Now())
	if err != nil {
		a.t.Fatal(err)
	}
	s, err := tlsconf.Load(tlsconf.Dir(made), slog.New(slog.DiscardHandler))
	if err != nil {
		a.t.Fatal(err)
	}
	return s
}

// secure gives a node a certificate of its own.
func (a authority) secure(cfg *raftstore.Config) {
	cfg.Security = tlsconf.Nodes{Source: a.issue(tlsconf.Node, cfg.Name)}
}

// logging has a node's log kept.
func logging(log *testutil.Buffer) func(*raftstore.Config) {
	return func(cfg *raftstore.Config) { cfg.Logger = slog.New(slog.NewTextHandler(log, nil)) }
}

// A certificate of the cluster is not enough to join: the name must be granted, once, to any member. What has been a
// member comes back with an empty disk.
func TestJoiningNeedsAGrant(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	c := testcluster.Start(t, 3, a.secure)
	for i := range 5 {
		add(t, c.Leader().Store, i)
	}
	join := func(cfg *raftstore.Config) { cfg.Join = []string{c.Nodes["n1"].Config.Peer} }
	n4 := lone(t, c, "n4", a.secure, join)
	refused := func() error {
		if why := n4.Status().Reason; !strings.Contains(why, "n4 may not join: it is no member, and nobody has granted it") {
			return fmt.Errorf("not refused: %q", why)
		}
		return nil
	}
	testcluster.Eventually(t, refused)
	if err := c.Followers()[0].Grant("n4"); err != nil {
		t.Fatal(err)
	}
	c.Leader().Voters("n1", "n2", "n3", "n4")
	found(t, n4.Store, 3)
	// Its disk is lost.
	n4.Stop()
	wipe(t, n4, c.Nodes["n1"])
	n4.Start()
	testcluster.Eventually(t, func() error {
		if s := n4.Status(); !s.Voter {
			return fmt.Errorf("%s: %s", s.Role, s.Reason)
		}
		return nil
	})
	// The grant was for one time.
	if err := n4.Leave(ctxFor(t, patience)); err != nil {
		t.Fatal(err)
	}
	n4.Stop()
	wipe(t, n4, c.Nodes["n1"])
	n4.Start()
	testcluster.Eventually(t, refused)
}

// Whoever has no certificate of a node of the cluster learns nothing at a peer port and changes nothing. The node's log
// says in a sentence why.
func TestStrangersAtThePeerPort(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t), newAuthority(t)
	log := new(testutil.Buffer)
	c := testcluster.Start(t, 3, a.secure, logging(log))
	n1 := c.Nodes["n1"]
	hello := []byte("p\x0bx1/00000001\x00")
	hello = append(hello, wire.AppendMessage(nil, &wire.Message{Class: wire.ClassPeer, Op: 6, Payload: []byte("{}")})...)
	secured := func(s *tlsconf.Source) func(net.Conn) net.Conn {
		return func(c net.Conn) net.Conn {
			return tls.Client(c, s.Client(tlsconf.ClientOptions{Roles: tlsconf.Roles}))
		}
	}
	blind := func(s *tlsconf.Source) func(net.Conn) net.Conn {
		return func(c net.Conn) net.Conn {
			cfg := s.Client(tlsconf.ClientOptions{Roles: tlsconf.Roles})
			cfg.VerifyConnection = nil
			return tls.Client(c, cfg)
		}
	}
	for _, s := range []struct {
		name string
		wrap func(net.Conn) net.Conn
		said string
	}{
		{"without TLS", func(c net.Conn) net.Conn { return c }, "does not speak TLS"},
		{"without a certificate", func(c net.Conn) net.Conn { return tls.Client(c, &tls.Config{InsecureSkipVerify: true}) }, "has no certificate"},
		{"with a client's certificate", secured(a.issue(tlsconf.Client, "x1")), "client/x1 has another role than is needed here: node"},
		{"with an admin's certificate", secured(a.issue(tlsconf.Admin, "x1")), "admin/x1 has another role than is needed here: node"},
		{"with another cluster's certificate", blind(other.issue(tlsconf.Node, "n2")), "of another CA"},
		{"with another node's name", secured(a.issue(tlsconf.Node, "n2")), "certificate is another node's"},
	} {
		nc, err := net.Dial("tcp", n1.Config.Peer)
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(patience))
		w := s.wrap(nc)
		w.Write(hello)
		got, _ := io.ReadAll(w)
		nc.Close()
		if len(got) > 0 {
			t.Errorf("%s: answered with %d bytes: %.200q", s.name, len(got), got)
		}
		testcluster.Eventually(t, func() error {
			if !strings.Contains(log.String(), s.said) {
				return fmt.Errorf("%s: the log does not say %q", s.name, s.said)
			}
			return nil
		})
	}
	add(t, n1.Store, 1)
}

// A member speaks for itself only: with its own certificate it can't make requests, or send Raft's, in another's name.
func TestMemberSpeaksForItself(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	log := new(testutil.Buffer)
	c := testcluster.Start(t, 3, a.secure, logging(log))
	n1, n2, n3 := c.Nodes["n1"], c.Nodes["n2"], c.Nodes["n3"]
	as := func(name string, greeting string) error {
		nc, err := net.Dial("tcp", n1.Config.Peer)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(patience))
		w := tls.Client(nc, a.issue(tlsconf.Node, name).Client(tlsconf.ClientOptions{Roles: []tlsconf.Role{tlsconf.Node}}))
		if _, err := w.Write([]byte(greeting)); err != nil {
			return err
		}
		_, err = io.ReadFull(w, make([]byte, 1))
		return err
	}
	str := func(s string) string { return string(rune(len(s))) + s }
	for kind, greeting := range map[string]string{
		"requests": "p" + str(n3.ID()) + str(n1.ID()),
		"Raft":     "R" + str(n3.ID()) + str("127.0.0.1:1") + str(n1.ID()),
	} {
		if err := as("n2", greeting); !errors.Is(err, io.EOF) {
			t.Errorf("%s as n3, with the certificate of n2: %v", kind, err)
		}
	}
	if !strings.Contains(log.String(), "certificate is another node's") {
		t.Errorf("the log does not say so: %s", log)
	}
	add(t, n2.Store, 1)
	c.Agree()
}
