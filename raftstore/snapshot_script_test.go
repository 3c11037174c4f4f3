package raftstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/raftlog"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/serverid"
	"github.com/distcache/distcache/raftstore/internal/state"
)

// A history is a cluster's log, as a test has written it: the entry with index i is entries[i-1].
type history struct {
	entries  []*raft.Log
	stamp    uint64
	sessions map[uint64]bool // that are open
	dumps    map[uint64][]string
}

const historyTerm = 3

func (h *history) last() uint64 { return uint64(len(h.entries)) }

func (h *history) append(kind raft.LogType, data []byte) {
	h.entries = append(h.entries, &raft.Log{Index: h.last() + 1, Term: historyTerm, Type: kind, Data: data})
}

// opening opens an origin.
func opening(origin uint64) entry.Op {
	return entry.Op{Kind: entry.Session, Identity: entry.Identity{Origin: origin}}
}

// command appends an entry of operations, which opens the sessions that are new.
func (h *history) command(ops ...entry.Op) {
	if h.sessions == nil {
		h.sessions = map[uint64]bool{}
	}
	for _, op := range ops {
		if !h.sessions[op.Origin] {
			h.sessions[op.Origin] = true
			ops = append([]entry.Op{opening(op.Origin)}, ops...)
		}
	}
	b := entry.Begin(nil)
	for i := range ops {
		b = entry.AppendOp(b, &ops[i])
	}
	h.stamp++
	entry.Seal(b, entry.Header{Stamp: h.stamp, Count: len(ops)})
	h.append(raft.LogCommand, b)
}

// members appends an entry that changes the membership.
func (h *history) members(names ...string) {
	h.append(raft.LogConfiguration, raft.EncodeConfiguration(configuration(names...)))
}

// server is a node's ID in its first life.
func server(name string) raft.ServerID { return raft.ServerID(serverid.New(name, "00000001")) }

// configuration is that of voters whose addresses are their names.
func configuration(names ...string) (c raft.Configuration) {
	for _, n := range names {
		c.Servers = append(c.Servers, raft.Server{ID: server(n), Address: raft.ServerAddress(n)})
	}
	return c
}

// adding and removing are requests of a process, the counter-th one that it makes.
func adding(origin, counter uint64, id string) entry.Op {
	op := removing(origin, counter, id)
	op.Kind, op.Timeout, op.Data = entry.Add, 24*60*minute, fmt.Appendf(nil, "data of %s, %d", id, counter)
	return op
}

func removing(origin, counter uint64, id string) entry.Op {
	return entry.Op{Kind: entry.Remove, Identity: entry.Identity{Origin: origin, Counter: counter, Low: 1}, ID: []byte(id)}
}

// at is the configuration as of an index, and the index where it was made.
func (h *history) at(index uint64) (c raft.Configuration, made uint64) {
	for _, e := range h.entries[:index] {
		if e.Type == raft.LogConfiguration {
			c, made = raft.DecodeConfiguration(e.Data), e.Index
		}
	}
	return c, made
}

// state is a state machine that has applied the log up to an index.
func (h *history) state(t testing.TB, index uint64) *state.Machine {
	t.Helper()
	m, err := state.Open(filepath.Join(t.TempDir(), stateFile), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	for _, e := range h.entries[:index] {
		carryOut(t, m, e)
	}
	return m
}

// dump is the state as of an index.
func (h *history) dump(t testing.TB, index uint64) []string {
	t.Helper()
	if h.dumps == nil {
		h.dumps = make(map[uint64][]string)
	}
	if h.dumps[index] == nil {
		h.dumps[index] = dump(t, h.state(t, index))
	}
	return h.dumps[index]
}

// A follower is a node on its own files, whose leader is the test: the leader says what is in a history.
type follower struct {
	t      *testing.T
	h      *history
	dir    string
	kind   LogKind
	files  raftlog.Files // of the log
	leader *peernet.Transport
	mux    *peernet.Mux
	*node
}

func newFollower(t *testing.T, h *history, kind LogKind) *follower {
	t.Helper()
	return startFollower(t, h, kind, t.TempDir())
}

func startFollower(t *testing.T, h *history, kind LogKind, dir string) *follower {
	t.Helper()
	f := &follower{t: t, h: h, dir: dir, kind: kind}
	f.leader = f.sender("n1")
	t.Cleanup(f.stop)
	f.start()
	return f
}

// sender is what another member sends requests through.
func (f *follower) sender(name string) *peernet.Transport {
	_, layer := f.listen(name)
	t := peernet.NewTransport(server(name), raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: layer, MaxPool: 2, Timeout: 20 * time.Second, Logger: raftnode.Logger(slog.New(slog.DiscardHandler)),
	}), peernet.Hooks{})
	f.t.Cleanup(func() { t.Close() })
	return t
}

// listen opens the peer port of a node.
func (f *follower) listen(name string) (*peernet.Mux, *peernet.Layer) {
	f.t.Helper()
	mux, err := peernet.Listen("127.0.0.1:0", peernet.Options{Network: peernet.TCP{}, Logger: slog.New(slog.DiscardHandler),
		Serve: func(nc net.Conn, _, _ serverid.ID) { nc.Close() }})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { mux.Close() })
	return mux, mux.Layer(peernet.Peer{ID: serverid.ID(server(name)), Address: mux.Addr().String()})
}

// open opens the node. It asks for no votes by itself.
func (f *follower) open(p phase) (n *node, err error) {
	cfg := Config{Dir: f.dir, Name: "n3", RaftLog: f.kind, Heartbeat: time.Hour}.withDefaults()
	cfg.hooks.logFiles = func(path string, opts raftlog.Options) (_ raftlog.Files, err error) {
		f.files, err = raftlog.OpenFiles(path, opts)
		return f.files, err
	}
	mux, layer := f.listen(cfg.Name)
	n, err = openNode(cfg, identity{Name: cfg.Name, Incarnation: "00000001", Phase: p}, layer, questions{clock: nobody}, func(err error) { f.t.Error("the node has failed:", err) })
	if err != nil {
		mux.Close()
		return nil, err
	}
	f.mux = mux
	return n, nil
}

func (f *follower) start() {
	f.t.Helper()
	p := phaseMember
	if empty, err := filepath.Glob(filepath.Join(f.dir, "*")); err != nil || len(empty) == 0 {
		p = phaseNew
	}
	n, err := f.open(p)
	if err != nil {
		f.t.Fatal(err)
	}
	f.node = n
}

func (f *follower) stop() {
	if f.node != nil {
		if err := errors.Join(f.mux.Close(), f.close()); err != nil {
			f.t.Error(err)
		}
		f.node = nil
	}
}

func (f *follower) restart() {
	f.t.Helper()
	f.stop()
	f.start()
}

func (f *follower) address() raft.ServerAddress { return raft.ServerAddress(f.mux.Addr().String()) }

func (f *follower) header() raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(server("n1")), Addr: []byte(f.leader.LocalAddr())}
}

// append sends committed entries; none when to is before from, only that what is before from is committed.
func (f *follower) append(from, to uint64) { f.t.Helper(); f.appendUpTo(from, to, to) }

// appendUpTo sends entries, of which those up to an index are committed.
func (f *follower) appendUpTo(from, to, committed uint64) {
	f.t.Helper()
	req := &raft.AppendEntriesRequest{
		RPCHeader:         f.header(),
		Term:              historyTerm,
		PrevLogEntry:      from - 1,
		Entries:           f.h.entries[from-1 : to],
		LeaderCommitIndex: committed,
	}
	f.takes(req)
}

// takes sends entries, which must be taken, behind those of the history.
func (f *follower) takes(req *raft.AppendEntriesRequest) {
	f.t.Helper()
	if before := req.PrevLogEntry; before > 0 {
		req.PrevLogTerm = f.h.entries[before-1].Term
	}
	var resp raft.AppendEntriesResponse
	if err := f.leader.AppendEntries(server("n3"), f.address(), req, &resp); err != nil || !resp.Success {
		f.t.Fatalf("%d entries behind %d were not taken: %v, last %d", len(req.Entries), req.PrevLogEntry, err, resp.LastLog)
	}
}

// install sends a snapshot that is announced at an index, which must be taken.
func (f *follower) install(announced uint64, content []byte) {
	f.t.Helper()
	if err := f.send(announced, len(content), bytes.NewReader(content)); err != nil {
		f.t.Fatal(err)
	}
}

// send is install of so many bytes from a reader.
func (f *follower) send(announced uint64, size int, r io.Reader) error {
	c, made := f.h.at(announced)
	req := &raft.InstallSnapshotRequest{
		RPCHeader:          f.header(),
		SnapshotVersion:    1,
		Term:               historyTerm,
		LastLogIndex:       announced,
		LastLogTerm:        f.h.entries[announced-1].Term,
		Configuration:      raft.EncodeConfiguration(c),
		ConfigurationIndex: made,
		Size:               int64(size),
	}
	var resp raft.InstallSnapshotResponse
	if err := f.leader.InstallSnapshot(server("n3"), f.address(), req, &resp, r); err != nil || !resp.Success {
		return fmt.Errorf("the snapshot at %d was not taken: %w", announced, err)
	}
	return nil
}

// reaches waits until the node has applied the log up to an index.
func (f *follower) reaches(index uint64) {
	f.t.Helper()
	f.comes(func() error {
		if done, _ := f.state.Applied(); done < index {
			return fmt.Errorf("the node has applied %d, and should be at %d", done, index)
		}
		return nil
	})
}

// compacts has the node take a snapshot and trim its log, which Raft refuses until a change of the membership is
// applied.
func (f *follower) compacts() {
	f.t.Helper()
	f.comes(func() error { return compactTo(f.node, 1) })
}

// comes waits until check finds nothing wrong.
func (f *follower) comes(check func() error) {
	f.t.Helper()
	deadline := time.After(time.Minute)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			f.t.Fatal(err)
		case <-time.After(time.Millisecond):
		}
	}
}

// holds is reaches, and compares the state with that of a machine that was given the log entry by entry.
func (f *follower) holds(index uint64) {
	f.t.Helper()
	f.reaches(index)
	if err := Difference(dump(f.t, f.state), f.h.dump(f.t, index)); err != nil {
		f.t.Fatalf("at %d: %v", index, err)
	}
}

// knows compares the membership that the node knows with the log's as of an index.
func (f *follower) knows(index uint64) {
	f.t.Helper()
	want, _ := f.h.at(index)
	var members []raftnode.Member
	for _, s := range want.Servers {
		members = append(members, raftnode.Member{ID: serverid.ID(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter})
	}
	if got := f.raft.Members(); !slices.Equal(got, members) {
		f.t.Fatalf("at %d the members are %v, and should be %v", index, got, members)
	}
}

// nobody says what time it is.
func nobody(context.Context, peernet.Peer) (clockAnswer, error) { return clockAnswer{}, errRetry }
