package peernet

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/serverid"
)

var errDown = errors.New("it is down")

// What is to be sent to a node that is down waits for its next heartbeat, and for nothing else.
func TestReach(t *testing.T) {
	const id, term = "n2", 7
	cases := []struct {
		name   string
		before func(*reach)
		ends   func(*reach, *atomic.Bool) // what ends the wait; nil if there is none
	}{
		{"nothing is known of it", func(*reach) {}, nil},
		{"it answers", func(r *reach) { r.heard(id, term, nil) }, nil},
		{"another one is down", func(r *reach) { r.heard("n3", term, errDown) }, nil},
		{"it was down", func(r *reach) { r.heard(id, term, errDown); r.heard(id, term, nil) }, nil},
		{"it was down in another term", func(r *reach) { r.heard(id, term-1, errDown) }, nil},
		{"it is back", func(r *reach) { r.heard(id, term, errDown) }, func(r *reach, _ *atomic.Bool) { r.heard(id, term, nil) }},
		{"it stays away", func(r *reach) { r.heard(id, term, errDown) }, func(r *reach, over *atomic.Bool) {
			r.heard(id, term, errDown)
			r.heard(id, term-1, nil)
			over.Store(true)
		}},
		{"there is a new term", func(r *reach) { r.heard(id, term, errDown) }, func(r *reach, _ *atomic.Bool) { r.heard(id, term+1, errDown) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r reach
				c.before(&r)
				silence := r.silence(id, term)
				if silent := silence != nil; silent != (c.ends != nil) {
					t.Fatalf("silent: %v", silent)
				}
				if c.ends == nil {
					return
				}
				var over atomic.Bool
				done := make(chan struct{})
				go func() {
					outlast(silence, func() bool { return !over.Load() })
					close(done)
				}()
				time.Sleep(10 * silencePoll)
				select {
				case <-done:
					t.Fatal("it did not wait")
				default:
				}
				c.ends(&r, &over)
				<-done
			})
		})
	}
}

// unreachable is a network on which nobody is reached.
type unreachable struct{ net.Listener }

func (unreachable) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) { return nil, errDown }

// Entries are not kept for a node that is down: nobody knows for how long that is.
func TestSilentNodeGetsNoEntries(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var sends atomic.Bool
	asked := make(chan struct{}, 1)
	network := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{Stream: unreachable{l}, MaxPool: 1, Logger: hclog.NewNullLogger()})
	tr := NewTransport("n1", network, Hooks{
		Sends: func(id serverid.ID, address string, term uint64) bool {
			if id != "n2" || address != "there:1" || term != 7 {
				t.Errorf("asked for %s at %s in term %d", id, address, term)
			}
			select {
			case asked <- struct{}{}:
			default:
			}
			return sends.Load()
		},
	})
	defer tr.Close()
	send := func(req *raft.AppendEntriesRequest) error {
		return tr.AppendEntries("n2", "there:1", req, new(raft.AppendEntriesResponse))
	}
	entries := &raft.AppendEntriesRequest{Term: 7, Entries: []*raft.Log{{Index: 1}}}
	if err := send(entries); !errors.Is(err, errDown) || entries.Entries == nil {
		t.Errorf("before any heartbeat: %v, %v", err, entries.Entries)
	}
	if err := send(&raft.AppendEntriesRequest{Term: 7}); !errors.Is(err, errDown) {
		t.Errorf("a heartbeat: %v", err)
	}
	sends.Store(true)
	done := make(chan error)
	go func() { done <- send(entries) }()
	<-asked
	<-asked
	sends.Store(false)
	if err := <-done; err != errSilent || entries.Entries != nil {
		t.Errorf("%v, %v", err, entries.Entries)
	}
}

// The first entry of a log, and what follows one, are no heartbeats.
func TestIsHeartbeat(t *testing.T) {
	for _, c := range []struct {
		req  raft.AppendEntriesRequest
		want bool
	}{
		{raft.AppendEntriesRequest{Term: 3}, true},
		{raft.AppendEntriesRequest{Term: 3, PrevLogEntry: 8, PrevLogTerm: 2}, false},
		{raft.AppendEntriesRequest{Term: 3, Entries: []*raft.Log{{Index: 1}}}, false},
	} {
		if got := isHeartbeat(&c.req); got != c.want {
			t.Errorf("%+v: %v", c.req, got)
		}
	}
}
