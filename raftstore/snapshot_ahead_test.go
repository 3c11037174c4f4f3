package raftstore

import (
	"fmt"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/raftlog"
	"github.com/distcache/distcache/raftstore/internal/snapstore"
	"github.com/distcache/distcache/raftstore/internal/state"
)

// The indexes in aheadHistory.
const (
	aheadOwn     = 4               // the follower was there until here
	aheadIndex   = 7               // the leader's snapshot
	aheadQuiet   = 11 * 60 / 5     // entries that make a process be forgotten: no entry counts for more than 5 s
	aheadContent = 14 + aheadQuiet // what its stream holds
)

// aheadHistory has, between the announced index and what the stream holds, what must not happen twice. The processes
// that asked for it have been forgotten by then: no result on record stands in for the rule that such entries are
// skipped.
func aheadHistory() *history {
	h := &history{stamp: 1_000_000}
	h.members("n1", "n3")
	h.command(adding(1, 1, "old"), adding(1, 2, "again"))
	h.command(adding(1, 3, "removed"))
	h.command(adding(1, 4, "own"))
	h.command(removing(1, 5, "own"))
	h.members("n1", "n2", "n3")
	h.command(adding(1, 6, "last"))
	// The snapshot is announced here.
	h.command(adding(7, 1, "short"), removing(8, 1, "removed"))
	h.command(removing(8, 2, "short"))
	h.command(removing(7, 2, "again"))
	h.members("n1", "n2")
	h.command(adding(8, 3, "again"))
	for range aheadQuiet {
		h.stamp += 5000
		h.command()
	}
	h.command(adding(9, 1, "later"))
	h.members("n1", "n3", "n4")
	// The stream ends here.
	h.command(adding(9, 1, "later"), removing(9, 2, "old")) // the first is asked again
	h.command(adding(9, 3, "removed"), adding(9, 4, "again"), removing(9, 5, "short"))
	h.members("n1", "n3")
	h.command(adding(9, 6, "end"))
	return h
}

// statuses are the results of an entry's operations, as a machine that was at the entry before gives them.
func (h *history) statuses(t *testing.T, index uint64) string {
	return carryOut(t, h.state(t, index-1), h.entries[index-1])
}

// carryOut gives a machine the next entry, and says what that came to.
func carryOut(t testing.TB, m *state.Machine, e *raft.Log) string {
	t.Helper()
	if e.Type == raft.LogConfiguration {
		m.Advance(e.Index, e.Term)
		return "a configuration"
	}
	statuses, err := m.Apply(e.Index, e.Term, e.Data)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(statuses)
}

// What the stream of a snapshot holds beyond the index at which it was announced does not happen again when the log
// brings it; what comes after that happens as if the log had brought it all.
func TestContentAheadOfTheIndex(t *testing.T) {
	t.Parallel()
	h := aheadHistory()
	m := h.state(t, aheadOwn)
	snapshots, err := snapstore.Open(t.TempDir(), m.Stream)
	if err != nil {
		t.Fatal(err)
	}
	sink := receive(t, snapshots, h, aheadIndex, stream(t, h.state(t, aheadContent)))
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	_, r, err := snapshots.Open(sink.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := m.Install(r.(*snapstore.Received).Name()); err != nil {
		t.Fatal(err)
	}
	for index := uint64(aheadIndex + 1); index <= h.last(); index++ {
		got, want := carryOut(t, m, h.entries[index-1]), "[]"
		if e := h.entries[index-1]; index > aheadContent || e.Type == raft.LogConfiguration {
			want = h.statuses(t, index)
		}
		if got != want {
			t.Errorf("entry %d gave %v, want %v", index, got, want)
		}
		if err := Difference(dump(t, m), h.dump(t, max(index, aheadContent))); err != nil {
			t.Fatalf("after entry %d: %v", index, err)
		}
	}
}

// receive writes a snapshot into a sink, which is not closed.
func receive(t *testing.T, snapshots *snapstore.Store, h *history, index uint64, content []byte) *snapstore.Sink {
	t.Helper()
	c, made := h.at(index)
	sink, err := snapshots.Create(1, index, historyTerm, c, made, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Write(content); err != nil {
		t.Fatal(err)
	}
	return sink.(*snapstore.Sink)
}

// A follower that has received a snapshot goes on from the index at which it was announced, whatever its stream holds,
// and comes to the leader's state and membership; also when it is started again somewhere on the way.
func TestFollowerWithContentAhead(t *testing.T) {
	eachLog(t, func(t *testing.T, kind LogKind) {
		h := aheadHistory()
		bytes := stream(t, h.state(t, aheadContent))
		// own is the entry after which it takes a snapshot, after the one after which it is started again; 0: never.
		own := uint64(0)
		for _, after := range []uint64{0, aheadIndex, aheadIndex + 2, aheadContent - 2, aheadContent, aheadContent + 1, h.last()} {
			f := newFollower(t, h, kind)
			f.append(1, aheadOwn)
			f.holds(aheadOwn)
			f.install(aheadIndex, bytes)
			f.holds(aheadContent)
			f.knows(aheadIndex)
			for index := uint64(aheadIndex); index <= h.last(); index++ {
				if index > aheadIndex {
					f.append(index, index)
				}
				if index == own {
					f.compacts()
				}
				f.knows(index)
				if index == after {
					f.restart()
					f.append(index+1, index)
					f.holds(max(index, aheadContent))
					f.knows(index)
				}
			}
			f.holds(h.last())
			f.restart()
			f.append(h.last()+1, h.last())
			f.holds(h.last())
			f.knows(h.last())
			f.stop()
			own = after
		}
	})
}

// eachLog runs a test for each kind of log.
func eachLog(t *testing.T, f func(*testing.T, LogKind)) {
	for _, kind := range raftlog.Kinds {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			f(t, kind)
		})
	}
}
