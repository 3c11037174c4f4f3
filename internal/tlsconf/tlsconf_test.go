package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testutil"
)

func TestParseIdentity(t *testing.T) {
	id, err := ParseIdentity("distcache://prod/node/n1")
	if err != nil || id != (Identity{"prod", Node, "n1"}) || id.String() != "distcache://prod/node/n1" {
		t.Errorf("%v, %v", id, err)
	}
	for _, s := range []string{"", "distcache://", "distcache://prod/node", "distcache://prod/node/", "distcache://prod//n1",
		"distcache:///node/n1", "distcache://prod/root/n1", "distcache://prod/node/n1/x", "distcache://prod/node/n1?x",
		"distcache://prod/node/n1#x", "distcache://u@prod/node/n1", "distcache://prod:1/node/n1", "DISTCACHE://prod/node/n1",
		"https://prod/node/n1", "distcache://prod/node/n%31", "distcache://prod/node/n 1", "distcache://prod/node/n1\n",
		"distcache://prod/node/" + strings.Repeat("n", 65)} {
		if id, err := ParseIdentity(s); err == nil {
			t.Errorf("%q is taken for %v", s, id)
		}
	}
}

func FuzzParseIdentity(f *testing.F) {
	f.Add("distcache://prod/node/n1")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseIdentity(s); err == nil && (id.String() != s || id.URI().String() != s) {
			t.Errorf("%q is read as %v", s, id)
		}
	})
}

// ca makes a CA in a new directory.
func ca(t testing.TB, cluster string) string {
	t.Helper()
	dir := t.TempDir()
	if err := InitCA(dir, cluster, time.Now().Add(-3*DefaultLife)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// made makes a certificate, as of now.
func made(t testing.TB, dir string, r Request, now time.Time) Files {
	t.Helper()
	at, err := NewCert(dir, r, now)
	if err != nil {
		t.Fatal(err)
	}
	return Dir(at)
}

// source makes a certificate and loads it, whatever its time.
func source(t testing.TB, dir string, r Request, now time.Time) *Source {
	t.Helper()
	s, err := load(made(t, dir, r, now), slog.New(slog.DiscardHandler), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	s.now = time.Now
	return s
}

// meet makes a handshake, exchanges a byte each way, and gives what either end says of it.
func meet(t *testing.T, server, client func(net.Conn) net.Conn) (atServer, atClient error) {
	t.Helper()
	l := testutil.Listen(t, "tcp", "127.0.0.1:0")
	ended := make(chan error, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			ended <- err
			return
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(20 * time.Second))
		c := server(nc)
		if tc, ok := c.(*tls.Conn); ok {
			if err := Handshake(t.Context(), tc); err != nil {
				ended <- err
				return
			}
		}
		b := make([]byte, len(said))
		if _, err = io.ReadFull(c, b); err == nil {
			_, err = c.Write(b)
		}
		ended <- err
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	c := client(nc)
	if tc, ok := c.(*tls.Conn); ok {
		atClient = Handshake(t.Context(), tc)
	}
	if atClient == nil {
		_, atClient = c.Write([]byte(said))
	}
	if atClient == nil {
		_, atClient = io.ReadFull(c, make([]byte, len(said)))
	}
	nc.Close()
	return <-ended, atClient
}

const said = "hello, you"

// plain is an end without TLS, which closes when it does not understand what it gets.
func plain(c net.Conn) net.Conn { return c }

// Whoever should not talk to each other does not, and both ends say why in a sentence.
func TestHandshakes(t *testing.T) {
	dir, other, second := ca(t, "prod"), ca(t, "prod"), ca(t, "test")
	now := time.Now()
	here := []string{"127.0.0.1", "cache.example"}
	n1 := source(t, dir, Request{Role: Node, Name: "n1", Hosts: here}, now)
	n2 := source(t, dir, Request{Role: Node, Name: "n2"}, now)
	web := source(t, dir, Request{Role: Client, Name: "web1"}, now)
	monitor := source(t, dir, Request{Role: Monitor, Name: "m"}, now)
	old := source(t, dir, Request{Role: Node, Name: "old", Hosts: here}, now.Add(-2*DefaultLife))
	early := source(t, dir, Request{Role: Node, Name: "early", Hosts: here}, now.Add(time.Hour))
	stranger := source(t, other, Request{Role: Node, Name: "n1", Hosts: here}, now)
	foreign := source(t, second, Request{Role: Node, Name: "n1", Hosts: here}, now)
	foreign.in.Load().pool = n1.in.Load().pool
	elsewhere := source(t, dir, Request{Role: Node, Name: "n1", Force: true}, now)
	elsewhere.in.Load().identity.Cluster = "test" // as if one CA served two clusters
	none, err := Load(Files{CA: filepath.Join(dir, "ca.pem")}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	users := ServerOptions{Roles: []Role{Client, Node, Admin}}
	nodes := ServerOptions{Roles: []Role{Node}}
	server := func(s *Source, o ServerOptions) func(net.Conn) net.Conn {
		return func(c net.Conn) net.Conn { return tls.Server(c, s.Server(o)) }
	}
	client := func(s *Source, o ClientOptions) func(net.Conn) net.Conn {
		return func(c net.Conn) net.Conn { return tls.Client(c, s.Client(o)) }
	}
	host := ClientOptions{Host: "cache.example", Roles: []Role{Node}}
	named := func(name string) ClientOptions { return ClientOptions{Roles: []Role{Node}, Name: name} }
	for _, c := range []struct {
		name           string
		server, client func(net.Conn) net.Conn
		atServer       string // empty: none
		atClient       string
	}{
		{"a client at a server", server(n1, users), client(web, host), "", ""},
		{"by address", server(n1, users), client(web, ClientOptions{Host: "127.0.0.1", Roles: []Role{Node}}), "", ""},
		{"node at node", server(n1, nodes), client(n2, named("n1")), "", ""},
		{"node at any node", server(n1, nodes), client(n2, named("")), "", ""},
		{"TLS 1.2", server(n1, ServerOptions{MinVersion: TLS12, Roles: users.Roles}), func(c net.Conn) net.Conn {
			cfg := web.Client(ClientOptions{MinVersion: TLS12, Host: "cache.example", Roles: []Role{Node}})
			cfg.MaxVersion = TLS12
			return tls.Client(c, cfg)
		}, "", ""},
		{"a server for a list of names", server(n1, ServerOptions{Roles: users.Roles, Names: []string{"web1"}}), client(web, host), "", ""},
		{"not on the list", server(n1, ServerOptions{Roles: users.Roles, Names: []string{"web2"}}), client(web, host),
			"distcache://prod/client/web1 has another name than is needed here: web2", "refuses this side's certificate"},
		{"no certificate", server(n1, users), client(none, host), "the peer has no certificate", "wants a certificate, and this side has none"},
		{"wrong role", server(n1, nodes), client(web, named("n1")), "web1 has another role than is needed here: node", "refuses this side's certificate"},
		{"not even a monitor", server(n1, users), client(monitor, host), "monitor/m has another role", "refuses this side's certificate"},
		{"another CA's client", server(n1, nodes), client(stranger, named("n1")), "refuses this side's certificate", "of another CA"},
		{"another cluster's client", server(n1, nodes), client(foreign, named("n1")), "refuses this side's certificate", "another cluster's"},
		{"another cluster's client, of the same CA", server(elsewhere, nodes), client(n2, named("n1")), "another cluster's", "refuses this side's certificate"},
		{"another cluster's server", server(foreign, nodes), client(n2, named("n1")), "refuses this side's certificate", "of another CA"},
		{"another name", server(n1, nodes), client(n2, named("n3")), "refuses this side's certificate", "n1 has another name than is needed here: n3"},
		{"a client as a server", server(web, nodes), client(n2, named("web1")), "refuses this side's certificate", "another role"},
		{"another host", server(n1, users), client(web, ClientOptions{Host: "x.example", Roles: []Role{Node}}), "refuses this side's certificate",
			"is not for x.example, but for cache.example, 127.0.0.1"},
		{"an expired client", server(n1, nodes), client(old, named("n1")), "has expired on", "not valid now"},
		{"an expired server", server(old, nodes), client(n2, named("old")), "refuses this side's certificate", "has expired on"},
		{"a client of tomorrow", server(n1, nodes), client(early, named("n1")), "not valid before", "not valid now"},
		{"a server of tomorrow", server(early, nodes), client(n2, named("early")), "refuses this side's certificate", "not valid before"},
		{"plain bytes at a TLS server", server(n1, users), plain, "does not speak TLS", ""},
		{"TLS at a plain server", plain, client(web, host), "", "may not speak TLS there"},
		{"too old a version", server(n1, users), func(c net.Conn) net.Conn {
			cfg := web.Client(host)
			cfg.MinVersion, cfg.MaxVersion = TLS12, TLS12
			return tls.Client(c, cfg)
		}, "client offered only unsupported versions", "wants another version of TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			atServer, atClient := meet(t, c.server, c.client)
			for _, e := range []struct {
				at   string
				err  error
				want string
			}{{"server", atServer, c.atServer}, {"client", atClient, c.atClient}} {
				switch {
				case c.name == "plain bytes at a TLS server" && e.at == "client", c.name == "TLS at a plain server" && e.at == "server":
				case e.want == "" && e.err != nil:
					t.Errorf("the %s says: %v", e.at, Explain(e.err))
				case e.want != "" && (e.err == nil || !strings.Contains(Explain(e.err).Error(), e.want)):
					t.Errorf("the %s says: %v\nwant: %s", e.at, Explain(e.err), e.want)
				case e.err != nil && !errors.Is(Explain(e.err), e.err):
					t.Errorf("the error of the %s is lost: %v", e.at, e.err)
				}
			}
		})
	}
}

// What a program must not start with is an error that names the file.
func TestLoadRefuses(t *testing.T) {
	dir, other := ca(t, "prod"), ca(t, "other")
	now := time.Now()
	good := made(t, dir, Request{Role: Node, Name: "n1"}, now)
	second := made(t, dir, Request{Role: Node, Name: "n2"}, now)
	open := made(t, dir, Request{Role: Node, Name: "open"}, now)
	os.Chmod(open.Key, 0o640)
	for _, c := range []struct {
		name  string
		files Files
		at    time.Time
		want  []string
	}{
		{"no file", Files{filepath.Join(dir, "none"), good.Key, good.CA}, now, []string{"none"}},
		{"a key without its certificate", Files{"", good.Key, good.CA}, now, []string{"together"}},
		{"another's key", Files{good.Cert, second.Key, good.CA}, now, []string{good.Cert, second.Key}},
		{"a key that others can read", open, now, []string{open.Key, "0640", "0600"}},
		{"another CA", Files{good.Cert, good.Key, filepath.Join(other, "ca.pem")}, now, []string{good.Cert, "not signed by"}},
		{"no CA in it", Files{good.Cert, good.Key, good.Key}, now, []string{good.Key, "no certificate"}},
		{"expired", good, now.Add(2 * DefaultLife), []string{good.Cert, "expired on"}},
		{"not valid yet", good, now.Add(-time.Hour), []string{good.Cert, "not valid before"}},
		{"no identity", Files{filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca-key.pem"), ""}, now, []string{"0 names"}},
	} {
		_, err := load(c.files, slog.New(slog.DiscardHandler), func() time.Time { return c.at })
		for _, w := range c.want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v; want %s", c.name, err, w)
			}
		}
	}
}

// New files count for the next handshake, and connections go on. Files that can't be used change nothing, and are
// warned about once, but not while they are being replaced.
func TestReload(t *testing.T) {
	dir := ca(t, "prod")
	now := time.Now()
	log := new(testutil.Buffer)
	f := made(t, dir, Request{Role: Node, Name: "n1"}, now)
	s, err := Load(f, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	serial := func() string { return fmt.Sprint(s.in.Load().cert.Leaf.SerialNumber) }
	first := serial()
	s.look()
	if serial() != first || log.String() != "" {
		t.Errorf("nothing has changed, and %s", log)
	}
	made(t, dir, Request{Role: Node, Name: "n1", Force: true}, now)
	s.look()
	second := serial()
	if second == first || !strings.Contains(log.String(), "certificate loaded") {
		t.Errorf("the new certificate is not in use: %s", log)
	}
	if err := os.WriteFile(f.Cert, []byte("rubbish"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.look()
	if strings.Contains(log.String(), "WARN") {
		t.Errorf("warned at once: %s", log)
	}
	for range 3 {
		s.look()
	}
	if n := strings.Count(log.String(), "WARN"); n != 1 || serial() != second {
		t.Errorf("%d warnings: %s", n, log)
	}
	if err := s.Reload(); err == nil || serial() != second {
		t.Errorf("when told to: %v", err)
	}
	made(t, dir, Request{Role: Node, Name: "n1", Force: true}, now)
	s.look()
	if serial() == second {
		t.Errorf("the certificate that was mended is not in use: %s", log)
	}
	s.now = func() time.Time { return now.Add(DefaultLife - 3*24*time.Hour - time.Minute) }
	for range 3 {
		s.look()
	}
	if n := strings.Count(log.String(), "about to expire"); n != 1 || !strings.Contains(log.String(), "days=3") {
		t.Errorf("%d warnings of expiry: %s", n, log)
	}
}

// After the CA has been replaced, whoever has a certificate of the old one is refused, although it was connected before.
func TestAnotherCAFromNowOn(t *testing.T) {
	dir := ca(t, "prod")
	now := time.Now()
	f := made(t, dir, Request{Role: Node, Name: "n1"}, now)
	server, err := Load(f, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	client := source(t, dir, Request{Role: Node, Name: "n2"}, now)
	cfg := client.Client(ClientOptions{Roles: []Role{Node}})
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	both := func() (error, error) {
		return meet(t, func(c net.Conn) net.Conn { return tls.Server(c, server.Server(ServerOptions{Roles: []Role{Node}})) },
			func(c net.Conn) net.Conn { return tls.Client(c, cfg) })
	}
	if s, c := both(); s != nil || c != nil {
		t.Fatal(s, c)
	}
	next := made(t, ca(t, "prod"), Request{Role: Node, Name: "n1"}, now)
	for from, to := range map[string]string{next.Cert: f.Cert, next.Key: f.Key, next.CA: f.CA} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Reload(); err != nil {
		t.Fatal(err)
	}
	if s, c := both(); s == nil || c == nil {
		t.Errorf("the old CA's certificate is still good: %v, %v", s, c)
	}
}

func TestCA(t *testing.T) {
	dir := ca(t, "prod")
	for path, mode := range map[string]os.FileMode{"ca-key.pem": 0o600, "ca.pem": 0o644} {
		fi, err := os.Stat(filepath.Join(dir, path))
		if err != nil || fi.Mode() != mode {
			t.Errorf("%s: %v, %v", path, fi.Mode(), err)
		}
	}
	if err := InitCA(dir, "prod", time.Now()); err == nil {
		t.Error("a CA was overwritten")
	}
	f := made(t, dir, Request{Role: Client, Name: "web1", Hosts: []string{"10.0.0.1", "web1.example"}, Life: 48 * time.Hour}, time.Now())
	der, err := readPEM(f.Cert, "CERTIFICATE")
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := IdentityOf(c); err != nil || id.String() != "distcache://prod/client/web1" || strings.Join(hosts(c), ", ") != "web1.example, 10.0.0.1" {
		t.Errorf("%v for %s, %v", id, hosts(c), err)
	}
	for path, mode := range map[string]os.FileMode{filepath.Dir(f.Key): os.ModeDir | 0o700, f.Key: 0o600, f.Cert: 0o644} {
		if fi, err := os.Stat(path); err != nil || fi.Mode() != mode {
			t.Errorf("%s: %v, %v", path, fi.Mode(), err)
		}
	}
	for what, r := range map[string]Request{
		"file already exists": {Role: Client, Name: "web1"},
		"a name is":           {Role: Client, Name: "../x"},
		"a role is":           {Role: "root", Name: "x"},
		"a host is":           {Role: Node, Name: "x", Hosts: []string{"host:1"}},
		"an hour to 825 days": {Role: Node, Name: "x", Life: 1000 * 24 * time.Hour},
	} {
		if _, err := NewCert(dir, r, time.Now()); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%+v: %v; want %s", r, err, what)
		}
	}
	if _, err := NewCert(t.TempDir(), Request{Role: Node, Name: "x"}, time.Now()); err == nil || !strings.Contains(err.Error(), "there is no CA") {
		t.Errorf("without a CA: %v", err)
	}
}
