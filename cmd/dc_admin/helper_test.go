package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/health"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/raftstore"
)

// A fakeNode is a node at the other end of the admin socket. It notes the changes it is asked for.
type fakeNode struct {
	status  raftstore.Status
	members []raftstore.Member
	err     error
	asked   string

	noLeader bool   // changes fail for that
	notReady string // why it does not serve

	compacted raftstore.Compacted
}

func (f *fakeNode) Status() raftstore.Status                            { return f.status }
func (f *fakeNode) Members(context.Context) ([]raftstore.Member, error) { return f.members, f.err }
func (f *fakeNode) Join(_ context.Context, peers []string, discard bool) error {
	return f.note("join %v discard=%v", peers, discard)
}
func (f *fakeNode) Leave(context.Context) error                  { return f.note("leave") }
func (f *fakeNode) RemoveNode(_ context.Context, n string) error { return f.note("remove %s", n) }
func (f *fakeNode) Transfer(_ context.Context, n string) error   { return f.note("transfer %q", n) }

func (f *fakeNode) Grant(n string) error { return f.note("grant %s", n) }

func (f *fakeNode) Compact(context.Context) (raftstore.Compacted, error) {
	return f.compacted, f.note("compact")
}

func (f *fakeNode) note(format string, args ...any) error {
	f.asked = fmt.Sprintf(format, args...)
	if f.noLeader {
		return raftstore.ErrNoLeader
	}
	return f.err
}

// serve puts a node at an admin socket and makes that the default of -connect.
func serve(t *testing.T, node admin.Node) {
	t.Helper()
	l := testutil.Listen(t, "unix")
	s := admin.NewServer(node, slog.New(slog.NewTextHandler(io.Discard, nil)))
	s.Handle("GET /readyz", health.Handler(func(context.Context) error {
		if f, ok := node.(*fakeNode); ok && f.notReady != "" {
			return errors.New(f.notReady)
		}
		return nil
	}))
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	t.Setenv("DC_ADMIN_CONNECT", testutil.At(t, l).String())
}

// says runs dc_admin and returns what it prints.
func says(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := run(t.Context(), args, &out, io.Discard); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return out.String()
}

// fails returns what people read of an error, which there must be.
func fails(t *testing.T, err error) string {
	t.Helper()
	var stderr bytes.Buffer
	if config.Exit(program, err, &stderr) == 0 {
		t.Fatal("no error")
	}
	return stderr.String()
}
