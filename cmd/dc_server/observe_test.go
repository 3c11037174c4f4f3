package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/internal/daemon"
	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

func TestNodeIsObservedOverTCPAndBesideTheLocalSocket(t *testing.T) {
	dir := t.TempDir()
	p := start(t, "-listen", "IP:127.0.0.1:0", "-data", dir, "-node", "n1", "-timeout", long, "-admin", "UNIX:"+dir+"/a",
		"-admin", "IP:127.0.0.1:0")
	if _, err := adminOf(t, p.admins[0]).Status(t.Context()); err != nil {
		t.Error(err)
	}
	testutil.Until(t, func() error {
		if code, body := testutil.Page(t, "tcp", p.admins[1], "/readyz"); code != http.StatusOK {
			return errors.New(body)
		}
		return nil
	})
	wantAnswer(t, p.dial(), wire.OpAdd, wire.AppendAdd(nil, []byte("id"), []byte("data"), wire.MaxTimeout), "\x00")
	if code, body := testutil.Page(t, "tcp", p.admins[1], "/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("health: %d %q", code, body)
	}
	code, body := testutil.Page(t, "tcp", p.admins[1], "/metrics")
	for _, want := range []string{`distcache_requests_total{operation="add",status="ok"} 1`, "distcache_sessions 1",
		`distcache_raft_role{role="leader"} 1`} {
		if code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("metrics: %d, %s is missing", code, want)
		}
	}
	resp, err := http.Post("http://"+p.admins[1]+"/v1/leave", "application/json", strings.NewReader("{}"))
	if err != nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a change over TCP is answered %v, %v", resp, err)
	}
	resp.Body.Close()
}

func TestNodeWithoutLeaderIsAliveAndNotReady(t *testing.T) {
	var members []string
	for _, name := range []string{"n1", "n2", "n3"} {
		members = append(members, name+"="+testcluster.FreeAddress(t))
	}
	startNode := func(name string) *process {
		return start(t, "-listen", "IP:127.0.0.1:0", "-data", t.TempDir(), "-node", name,
			"-cluster", strings.Join(members, ","), "-admin", "IP:127.0.0.1:0")
	}
	p := startNode("n1")
	if code, body := testutil.Page(t, "tcp", p.admins[0], "/healthz"); code != http.StatusOK {
		t.Errorf("health: %d %q", code, body)
	}
	code, body := testutil.Page(t, "tcp", p.admins[0], "/readyz")
	if code != http.StatusServiceUnavailable || body == "" {
		t.Errorf("readiness: %d %q", code, body)
	}
	_, body = testutil.Page(t, "tcp", p.admins[0], "/metrics")
	if !strings.Contains(body, "distcache_raft_has_leader 0") {
		t.Error("the metrics know a leader")
	}
	const ready = `"msg":"ready"`
	if log := p.Log.String(); strings.Contains(log, ready) {
		t.Errorf("the log says that it is ready:\n%s", log)
	}
	startNode("n2")
	testcluster.Eventually(t, func() error {
		if log := p.Log.String(); !strings.Contains(log, ready) {
			return fmt.Errorf("the log does not say that it is ready:\n%s", log)
		}
		return nil
	})
	testcluster.Eventually(t, func() error { // unless it has lost its leader again
		if code, body := testutil.Page(t, "tcp", p.admins[0], "/readyz"); code != http.StatusOK {
			return fmt.Errorf("the log says that it is ready: %d %q", code, body)
		}
		return nil
	})
}

// A fakeNode says what it is told to.
type fakeNode struct {
	admin.Node
	status raftstore.Status
}

func (f fakeNode) Status() raftstore.Status { return f.status }

// A fakeStore answers HAVE with an error.
type fakeStore struct {
	store.Store
	err error
}

func (f fakeStore) Have(context.Context, []byte) error { return f.err }

func TestReady(t *testing.T) {
	for _, c := range []struct {
		status raftstore.Status
		have   error
		want   string // part of the reason; empty: it is ready
	}{
		{raftstore.Status{Role: raftstore.RoleLeader}, wire.NotOK, ""},
		{raftstore.Status{Role: raftstore.RoleLeader}, nil, ""},
		{raftstore.Status{Role: admin.RoleMemory}, wire.NotOK, ""},
		{raftstore.Status{Role: raftstore.RoleFollower, Leader: "n2", Commit: 50, Applied: 40}, wire.NotOK, ""},
		{raftstore.Status{Role: raftstore.RoleFollower, Leader: "n2", Commit: 5000, Applied: 40}, wire.NotOK,
			"4960 log entries to go"},
		{raftstore.Status{Role: raftstore.RoleFollower, Leader: "n2"}, wire.Disconnected, "a read was not answered"},
		{raftstore.Status{Role: raftstore.RoleFollower, Leader: "n2"}, context.DeadlineExceeded, "a read was not answered"},
		{raftstore.Status{Role: raftstore.RoleFollower}, wire.NotOK, "no leader"},
		{raftstore.Status{Role: raftstore.RoleCandidate}, wire.NotOK, "no leader"},
		{raftstore.Status{Role: raftstore.RoleJoining, Reason: "not yet"}, wire.NotOK, "joining: not yet"},
		{raftstore.Status{Role: raftstore.RoleStopped, Reason: "disk full"}, wire.NotOK, "stopped: disk full"},
	} {
		back := &backend{node: fakeNode{status: c.status}, store: fakeStore{err: c.have}}
		s := &service{Service: daemon.NewService(&daemon.Process{}), back: back}
		err := s.ready(t.Context())
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v, HAVE says %v: %v", c.status, c.have, err)
		}
		s.CloseClients()
		if s.ready(t.Context()) == nil {
			t.Errorf("%+v: ready while it stops", c.status)
		}
	}
}

// Clients that come before the store is open are not kept waiting.
func TestClientsAreTurnedAwayUntilTheStoreIsOpen(t *testing.T) {
	opts, err := parse([]string{"-memory", "-listen", "IP:" + testcluster.FreeAddress(t), "-log-format", "json"},
		io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	at := opts.listen[0]
	p := started(t, func(ctx context.Context, stdout, stderr io.Writer) error {
		return opts.daemon.Run(ctx, program, stderr, func(ctx context.Context, p *daemon.Process) error {
			return serve(ctx, opts, p, func(opts *options, log *slog.Logger) (*backend, error) {
				nc, err := at.Dial(ctx)
				if err != nil {
					return nil, err
				}
				defer nc.Close()
				nc.SetReadDeadline(time.Now().Add(30 * time.Second))
				var timeout net.Error
				if _, err := nc.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
					t.Errorf("before the store is open, a connection gives %v", err)
				}
				return openBackend(opts, log)
			}, stdout)
		})
	})
	wantAnswer(t, p.dial(), wire.OpHave, []byte("id"), "\x01")
}
