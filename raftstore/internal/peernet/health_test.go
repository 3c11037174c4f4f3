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

var errUnreachable = errors.New("it is down")

// Entries for a node that is down wait for its next heartbeat, and for nothing else.
func TestFollowerHealth(t *testing.T) {
	const id, term = "n2", 7
	type beat struct {
		id   serverid.ID
		term uint64
		err  error
	}
	cases := []struct {
		name   string
		before []beat
		waits  bool   // whether sending waits then
		after  []beat // the heartbeats during the wait
		stops  bool   // whether the leader then no longer needs to send
	}{
		{"nothing is known of it", nil, false, nil, false},
		{"it answers", []beat{{id, term, nil}}, false, nil, false},
		{"another one is down", []beat{{"n3", term, errUnreachable}}, false, nil, false},
		{"it was down", []beat{{id, term, errUnreachable}, {id, term, nil}}, false, nil, false},
		{"it was down in another term", []beat{{id, term - 1, errUnreachable}}, false, nil, false},
		{"it is back", []beat{{id, term, errUnreachable}}, true, []beat{{id, term, nil}}, false},
		{"it stays away", []beat{{id, term, errUnreachable}}, true,
			[]beat{{id, term, errUnreachable}, {id, term - 1, nil}}, true},
		{"there is a new term", []beat{{id, term, errUnreachable}}, true,
			[]beat{{id, term + 1, errUnreachable}}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var h followerHealth
				for _, b := range c.before {
					h.heartbeat(b.id, b.term, b.err)
				}
				over := h.outage(id, term)
				if down := over != nil; down != c.waits {
					t.Fatalf("down: %v", down)
				}
				if !c.waits {
					return
				}
				var stopped atomic.Bool
				done := make(chan struct{})
				go func() {
					waitWhileDown(over, func() bool { return !stopped.Load() })
					close(done)
				}()
				wait := func(what string) {
					time.Sleep(10 * downPoll)
					select {
					case <-done:
						t.Fatal("it did not wait: " + what)
					default:
					}
				}
				wait("at first")
				for _, b := range c.after {
					h.heartbeat(b.id, b.term, b.err)
				}
				if c.stops {
					wait("before the leader stops")
				}
				stopped.Store(c.stops)
				<-done
			})
		})
	}
}

// unreachable is a network on which every connection fails.
type unreachable struct{ net.Listener }

func (unreachable) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) {
	return nil, errUnreachable
}

// The entries for a node that is down are not kept in memory, since the outage may be long.
func TestSilentNodeGetsNoEntries(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var sends atomic.Bool
	asked := make(chan struct{}, 1)
	network := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: unreachable{l}, MaxPool: 1, Logger: hclog.NewNullLogger()})
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
	if err := send(entries); !errors.Is(err, errUnreachable) || entries.Entries == nil {
		t.Errorf("before any heartbeat: %v, %v", err, entries.Entries)
	}
	if err := send(&raft.AppendEntriesRequest{Term: 7}); !errors.Is(err, errUnreachable) {
		t.Errorf("a heartbeat: %v", err)
	}
	sends.Store(true)
	done := make(chan error)
	go func() { done <- send(entries) }()
	<-asked
	<-asked
	sends.Store(false)
	if err := <-done; err != errDown || entries.Entries != nil {
		t.Errorf("%v, %v", err, entries.Entries)
	}
}

// A request with the first entry of a log is no heartbeat, nor is one that follows on an entry.
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
