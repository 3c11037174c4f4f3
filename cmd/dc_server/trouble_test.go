package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/procs"
	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// connect is a client of a server's, for calls that take no longer than the server's own bound and a bit.
func connect(t *testing.T, s *procs.Server) *client.Client {
	t.Helper()
	c, err := client.New(s.Listen.String(), client.WithTimeout(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// long is a bound of requests for tests that need an answer, however busy the machine is.
const long = "20s"

// single starts one node, with a peer port, and waits until it serves.
func single(t *testing.T, ctx context.Context, name string) *procs.Server {
	t.Helper()
	s, err := procs.NewServer(processes(t), name)
	if err != nil {
		t.Fatal(err)
	}
	s.Flags("-peer", s.Peer, "-timeout", long)
	startAll(t, []*procs.Server{s})
	serving(t, ctx, s)
	return s
}

// answered has a node asked again while it answers Disconnected: one whose cluster elects a leader may need longer than
// its bound.
func answered(ask func() error) error {
	for {
		if err := ask(); !errors.Is(err, wire.Disconnected) {
			return err
		}
	}
}

func serving(t *testing.T, ctx context.Context, servers ...*procs.Server) *procs.Server {
	t.Helper()
	leader, err := procs.Leader(ctx, servers)
	if err != nil {
		t.Fatal(err)
	}
	return leader
}

// died waits for a server to end by itself, with a status and a sentence that has a part.
func died(t *testing.T, ctx context.Context, s *procs.Server, status int, part string) {
	t.Helper()
	code, err := s.Wait(ctx)
	if err != nil {
		t.Fatalf("it runs on, where %q was expected: %v", part, err)
	}
	last := s.Log()[strings.LastIndex(s.Log(), "\ndc_server: ")+1:]
	if code != status || !strings.HasPrefix(last, "dc_server: ") || !strings.Contains(last, part) {
		t.Errorf("status %d, and its last words are %q; want %d and %q", code, last, status, part)
	}
	if strings.Contains(s.Log(), "goroutine ") {
		t.Errorf("a stack trace, where %q was expected", part)
	}
}

// A leader that was frozen while others elected another answers from what they have, at once when it goes on.
func TestFrozenLeaderReadsNothingOld(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	servers, err := procs.NewCluster(processes(t), 3, "-timeout", long)
	if err != nil {
		t.Fatal(err)
	}
	startAll(t, servers)
	const n = 20
	id := func(i int) []byte { return fmt.Append(nil, "id", i) }
	for round := range 2 {
		old := serving(t, ctx, servers...)
		other := servers[0]
		if other == old {
			other = servers[1]
		}
		before, after := fmt.Append(nil, "before", round), fmt.Append(nil, "after!", round)
		there, here := connect(t, old), connect(t, other)
		for i := range n {
			if err := there.Add(ctx, id(i), before, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		if err := old.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			err := here.Remove(ctx, id(i))
			for errors.Is(err, wire.Disconnected) { // of unknown fate: the next Remove may find nothing
				err = here.Remove(ctx, id(i))
			}
			if err != nil && !errors.Is(err, wire.NotOK) {
				t.Fatal(err)
			}
			if err := here.Add(ctx, id(i), after, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		// Reads that wait in its socket when it wakes are the first that it answers.
		answers := make(chan error, n)
		for i := range n {
			go func() {
				got, err := there.Get(ctx, id(i))
				if err == nil && !bytes.Equal(got, after) {
					err = fmt.Errorf("the session is %q, and %q was acknowledged", got, after)
				}
				answers <- err
			}()
		}
		if err := old.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		for range n {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		serving(t, ctx, servers...)
		for i := range n {
			if err := here.Remove(ctx, id(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A node that is left alone answers everything, with Disconnected, and serves again when it is not alone.
func TestMinorityAnswersAndRecovers(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	servers, err := procs.NewCluster(processes(t), 3, "-timeout", "500ms")
	if err != nil {
		t.Fatal(err)
	}
	startAll(t, servers)
	serving(t, ctx, servers...)
	c := connect(t, servers[0])
	err = answered(func() error { return c.Add(ctx, []byte("id"), []byte("hello"), time.Hour) })
	if err != nil && !errors.Is(err, wire.MatchingSession) { // which an Add of unknown fate has left
		t.Fatal(err)
	}
	for _, down := range []bool{true, false} { // the leader is down, or it is left
		leader := serving(t, ctx, servers...)
		left := leader
		if down {
			left = servers[0]
			if left == leader {
				left = servers[1]
			}
		}
		var back *procs.Server
		for _, s := range servers {
			if s != left {
				s.Kill()
				back = s
			}
		}
		c := connect(t, left)
		answers := make(chan error, 200)
		for i := range cap(answers) {
			go func() {
				var err error
				switch i % 4 {
				case 0:
					err = c.Add(ctx, fmt.Append(nil, "new", down, i), []byte("hello"), time.Hour)
				case 1:
					_, err = c.Get(ctx, []byte("id"))
				case 2:
					err = c.Have(ctx, []byte("id"))
				case 3:
					err = c.Remove(ctx, []byte("no such id"))
				}
				answers <- err
			}()
		}
		for range cap(answers) {
			if err := <-answers; !errors.Is(err, wire.Disconnected) {
				t.Fatalf("a node alone answers %v", err)
			}
		}
		if err := back.Start(); err != nil {
			t.Fatal(err)
		}
		serving(t, ctx, left, back)
		var got []byte
		err := answered(func() (err error) {
			got, err = c.Get(ctx, []byte("id"))
			return err
		})
		if err != nil || string(got) != "hello" {
			t.Fatalf("with a majority again: %q, %v", got, err)
		}
		for _, s := range servers {
			if !s.Running() {
				if err := s.Start(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// A node that is killed while it gives up what it has to join a cluster is one or the other when it is started again:
// alone with all that it had, or a member with what the cluster has.
func TestKillDuringJoin(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cluster := single(t, ctx, "n1")
	for i := range 3 {
		if err := connect(t, cluster).Add(ctx, fmt.Append(nil, "theirs", i), []byte("hello"), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	alone, member := 0, 0
	for round := range 5 {
		s := single(t, ctx, fmt.Sprintf("joiner%d", round))
		if err := connect(t, s).Add(ctx, []byte("own"), []byte("hello"), time.Hour); err != nil {
			t.Fatal(err)
		}
		joined := make(chan error, 1)
		go func() {
			a := s.Admin()
			defer a.Close()
			joined <- a.Join(ctx, []string{cluster.Peer}, true)
		}()
		r := rand.Float64()
		time.Sleep(time.Duration(r * r * r * float64(100*time.Millisecond))) // any moment will do
		s.Kill()
		<-joined
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		st := settled(t, ctx, s)
		switch {
		case st.Sessions == 1 && st.Leader == s.Name:
			alone++
			s.Kill()
		case st.Sessions == 3: // whichever of the two leads
			member++
			a := s.Admin()
			if err := a.Leave(ctx); err != nil {
				t.Fatal(err)
			}
			a.Close()
		default:
			t.Fatalf("round %d: neither alone nor a member: %+v", round, st)
		}
		serving(t, ctx, cluster)
	}
	t.Logf("%d times alone, %d times a member", alone, member)
}

// settled waits until a node has a leader and what that has, and gives its status.
func settled(t *testing.T, ctx context.Context, s *procs.Server) raftstore.Status {
	t.Helper()
	c := connect(t, s)
	var st raftstore.Status
	testutil.Until(t, func() (err error) {
		st, err = s.Status(ctx)
		if err == nil && st.Leader != "" && st.Voter {
			if err = c.Have(ctx, []byte("own")); !errors.Is(err, wire.Disconnected) {
				st, err = s.Status(ctx)
			}
		}
		if err == nil && (st.Leader == "" || !st.Voter || st.Role == raftstore.RoleJoining) {
			err = fmt.Errorf("not settled: %+v", st)
		}
		return err
	})
	return st
}
