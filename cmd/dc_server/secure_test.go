package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/internal/tlsconf"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// certificates makes a CA and certificates of the given roles and names, for this machine.
func certificates(t *testing.T, of map[string]tlsconf.Role) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "ca")
	if err := tlsconf.InitCA(dir, "test", time.Now()); err != nil {
		t.Fatal(err)
	}
	for name, role := range of {
		renew(t, dir, role, name)
	}
	return dir
}

func renew(t *testing.T, dir string, role tlsconf.Role, name string) {
	t.Helper()
	r := tlsconf.Request{Role: role, Name: name, Hosts: []string{"127.0.0.1"}, Force: true}
	if _, err := tlsconf.NewCert(dir, r, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// holder connects as the holder of a certificate.
func holder(t *testing.T, dir, name string) *wire.TLS {
	t.Helper()
	s, err := tlsconf.Load(tlsconf.Dir(filepath.Join(dir, name)), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return &wire.TLS{Explain: tlsconf.Explain,
		Config: s.Client(tlsconf.ClientOptions{Host: "127.0.0.1", Roles: []tlsconf.Role{tlsconf.Node}})}
}

func use(t *testing.T, at wire.Address) error {
	t.Helper()
	c, err := client.At(at)
	if err != nil {
		return err
	}
	defer c.Close()
	id := []byte(t.Name())
	if err := c.Add(t.Context(), id, []byte("data"), time.Minute); err != nil && err != wire.MatchingSession {
		return err
	}
	_, err = c.Get(t.Context(), id)
	return err
}

// Clients need a certificate of the right role, and of the right name if names are given.
func TestClientsOverTLS(t *testing.T) {
	dir := certificates(t, map[string]tlsconf.Role{"n1": tlsconf.Node, "web1": tlsconf.Client, "web2": tlsconf.Client,
		"me": tlsconf.Admin, "watch": tlsconf.Monitor})
	p := start(t, "-memory", "-listen", "TLS:127.0.0.1:0", "-certs", filepath.Join(dir, "n1"), "-tls-allow", "web1,me,n1")
	at := testutil.Address(t, "TLS:"+p.clients[0])
	for name, want := range map[string]string{
		"web1": "", "me": "", "n1": "", "web2": "refuses this side's certificate", "watch": "refuses this side's certificate"} {
		err := use(t, at.WithTLS(holder(t, dir, name)))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	none, err := tlsconf.Load(tlsconf.Files{CA: filepath.Join(dir, "ca.pem")}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	bare := &wire.TLS{Explain: tlsconf.Explain, Config: none.Client(tlsconf.ClientOptions{Roles: tlsconf.Roles})}
	if err := use(t, at.WithTLS(bare)); err == nil || !strings.Contains(err.Error(), "wants a certificate, and this side has none") {
		t.Errorf("without a certificate: %v", err)
	}
	if err := use(t, testutil.Address(t, "IP:"+p.clients[0])); !errors.Is(err, client.ErrLost) {
		t.Errorf("without TLS: %v", err)
	}
	for _, line := range []string{"client/web2 has another name than is needed here: web1, me, n1", "monitor/watch has another role",
		"the peer has no certificate", "the peer does not speak TLS"} {
		testutil.Eventually(t, "the log says: "+line, func() bool { return strings.Contains(p.Log.String(), line) })
	}
}

// A role may do at the admin listener what it is for.
func TestAdminOverTLS(t *testing.T) {
	dir := certificates(t, map[string]tlsconf.Role{"n1": tlsconf.Node, "me": tlsconf.Admin, "watch": tlsconf.Monitor, "web1": tlsconf.Client})
	p := start(t, "-listen", "IP:127.0.0.1:0", "-node", "n1", "-data", t.TempDir(), "-admin", "TLS:127.0.0.1:0",
		"-certs", filepath.Join(dir, "n1"))
	at := testutil.Address(t, "TLS:"+p.admins[0])
	as := func(name string) *admin.Client {
		c := admin.NewClient(at.WithTLS(holder(t, dir, name)).Dial)
		t.Cleanup(c.Close)
		return c
	}
	if s, err := as("watch").Status(t.Context()); err != nil || s.Certificate != "distcache://test/node/n1" || s.Expires == nil {
		t.Errorf("a monitor's status: %+v, %v", s, err)
	}
	if err := as("watch").Grant(t.Context(), "n2"); err == nil || !strings.Contains(err.Error(), "a certificate of the role monitor may only read") {
		t.Errorf("a monitor's change: %v", err)
	}
	if err := as("me").Grant(t.Context(), "n2"); err != nil {
		t.Errorf("an admin's change: %v", err)
	}
	if _, err := as("web1").Status(t.Context()); err == nil || !strings.Contains(err.Error(), "refuses this side's certificate") {
		t.Errorf("a client at the admin listener: %v", err)
	}
	web := http.Client{Transport: &http.Transport{TLSClientConfig: holder(t, dir, "watch").Config}}
	resp, err := web.Get("https://" + p.admins[0] + "/metrics")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("metrics: %v, %v", resp, err)
	}
	web.CloseIdleConnections()
}

// New certificates are in use soon after the files have changed. Open connections go on, and no request fails.
func TestCertificateIsReplacedUnderLoad(t *testing.T) {
	dir := certificates(t, map[string]tlsconf.Role{"n1": tlsconf.Node, "web1": tlsconf.Client})
	p := start(t, "-memory", "-listen", "TLS:127.0.0.1:0", "-certs", filepath.Join(dir, "n1"))
	at := testutil.Address(t, "TLS:"+p.clients[0]).WithTLS(holder(t, dir, "web1"))
	serial := func() string {
		nc, err := at.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		state := nc.(interface{ ConnectionState() tls.ConnectionState }).ConnectionState()
		return fmt.Sprint(state.PeerCertificates[0].SerialNumber)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for i := range 4 {
		load.Go(func() {
			c, err := client.At(at)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for n := 0; ctx.Err() == nil; n++ {
				if err := c.Add(t.Context(), fmt.Appendf(nil, "%d-%d", i, n), []byte("data"), time.Minute); err != nil {
					t.Errorf("request %d: %v", n, err)
					return
				}
				if n%50 == 0 { // and new connections all the time
					if err := use(t, at); err != nil {
						t.Errorf("a new connection: %v", err)
						return
					}
				}
			}
		})
	}
	before := serial()
	renew(t, dir, tlsconf.Node, "n1")
	testutil.Eventually(t, "the new certificate is in use", func() bool { return serial() != before })
	cancel()
	load.Wait()
}

// Off the loopback, a listener without TLS is warned about.
func TestPlainListenerIsWarnedAbout(t *testing.T) {
	for listen, warned := range map[string]bool{"IP:127.0.0.1:0": false, "IP:0": true} {
		out := new(testutil.Buffer)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- run(ctx, []string{"-memory", "-listen", listen}, out, out) }()
		testutil.Eventually(t, "it has started", func() bool { return strings.Contains(out.String(), "msg=started") })
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := strings.Count(out.String(), "sessions cross the network unencrypted"); (n == 1) != warned || n > 1 {
			t.Errorf("%s: %d warnings", listen, n)
		}
	}
}
