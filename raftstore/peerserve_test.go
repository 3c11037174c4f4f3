package raftstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// alone opens a node that stands alone, with a peer port.
func alone(t *testing.T, change ...func(*Config)) *Store {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cfg := Config{Dir: t.TempDir(), Name: "n1", Peer: address}
	for _, f := range change {
		f(&cfg)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for n := s.node.Load(); !n.leads(); {
		<-n.raft.LeaderChanged()
	}
	return s
}

// served connects to the store as another node does. done is closed when the store has done with the connection.
func served(t *testing.T, s *Store) (conn *client.Conn, done <-chan struct{}) {
	t.Helper()
	ours, theirs := net.Pipe()
	c := make(chan struct{})
	go func() {
		s.peerPort.servePeer(theirs, s.node.Load().id, "")
		close(c)
	}()
	conn = client.NewConn(ours, client.ConnConfig{Rules: peerResponses, MaxInFlight: peerInFlight})
	t.Cleanup(func() {
		conn.Close()
		<-c
	})
	return conn, c
}

// question asks for a read index, from a node whose word is not enough.
func question() []byte {
	return termProof{id: "n2"}.append(nil)
}

// hold makes the store's rounds last until they are let go. A signal comes when one begins.
func hold(s *Store) (asked <-chan struct{}, let chan<- struct{}) {
	a, l := make(chan struct{}, 100), make(chan struct{})
	n := s.node.Load()
	n.logs.VotersUnknown()
	n.reads = newReadBatch(func(context.Context) (readIndex, error) {
		a <- struct{}{}
		<-l
		return readIndex{}, nil
	})
	return a, l
}

// When a connection has been served its reads have ended, and none is at work on a state that is about to be closed.
func TestServeWaitsForReads(t *testing.T) {
	s := alone(t)
	asked, let := hold(s)
	conn, done := served(t, s)
	for _, q := range []struct {
		op   wire.Op
		more string
	}{{opIndex, ""}, {opHave, "id"}} {
		if _, err := conn.Start(q.op, append(question(), q.more...), func([]byte, error) {}); err != nil {
			t.Fatal(err)
		}
	}
	<-asked
	conn.Close()
	lingers(t, done, let)
}

// A holdLog holds whoever logs a change of membership.
type holdLog struct {
	slog.Handler
	asked, let chan struct{}
}

func (h holdLog) Enabled(context.Context, slog.Level) bool { return true }

func (h holdLog) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "membership") {
		h.asked <- struct{}{}
		<-h.let
	}
	return nil
}

// When a store has been closed nothing of it goes on, not even what another node's change of membership waits for.
func TestCloseWaitsForMembership(t *testing.T) {
	h := holdLog{slog.DiscardHandler, make(chan struct{}), make(chan struct{})}
	s := alone(t, func(cfg *Config) { cfg.Logger = slog.New(h) })
	conn, _ := served(t, s)
	if _, err := conn.Start(opMove, fmt.Appendf(nil, `{"id":%q,"address":%q}`, s.identity().ID(), s.cfg.Advertise), func([]byte, error) {}); err != nil {
		t.Fatal(err)
	}
	<-h.asked
	n, closed := s.node.Load(), make(chan struct{})
	go func() {
		s.Close()
		close(closed)
	}()
	<-n.stop
	for !s.changing.TryLock() { // until the node is closed
		runtime.Gosched()
	}
	s.changing.Unlock()
	lingers(t, closed, h.let)
}

// Those who ask about membership can't have any number of questions under way.
func TestMembershipIsBounded(t *testing.T) {
	s := alone(t)
	conn, _ := served(t, s)
	s.membership.admission.configuration.Lock()
	codes := make(chan byte, 2*peerMembers)
	for range 2 * peerMembers {
		_, err := conn.Start(opMember, []byte(`{"id":"`+s.node.Load().id+`"}`), func(b []byte, err error) {
			if err != nil || len(b) == 0 {
				t.Errorf("%x, %v", b, err)
				b = []byte{codeFailed}
			}
			codes <- b[0]
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range peerMembers {
		if code := <-codes; code != codeRetry {
			t.Errorf("one too many was answered with %d", code)
		}
	}
	s.membership.admission.configuration.Unlock()
	for range peerMembers {
		<-codes
	}
}

// A read that carries more than an id is not kept.
func TestReadOfNoID(t *testing.T) {
	s := alone(t)
	_, let := hold(s)
	defer close(let)
	conn, _ := served(t, s)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, op := range []wire.Op{opGet, opHave} {
		for _, n := range []int{0, wire.MaxID + 1, wire.MaxPayload} {
			answer, err := conn.Do(ctx, op, append(question(), make([]byte, n)...))
			if err != nil || answer[0] != codeFailed {
				t.Errorf("op %d with an id of %d bytes: %x, %v", op, n, answer, err)
			}
		}
	}
}

// A follower that asks may have to give linearizable reads, whatever its leader's own reads wait for.
func TestOthersReadsAreConfirmed(t *testing.T) {
	down := func(context.Context) (uint64, error) { return 0, errors.New("down") }
	_, n := rounding(t, down, down)
	for _, mode := range []ReadMode{ReadLinearizable, ReadLeader, ReadLocal} {
		n.cfg.Reads = mode
		if _, err := n.readIndex(context.Background()); err != errRetry {
			t.Errorf("a leader set to %v, without a majority: %v", mode, err)
		}
	}
}
