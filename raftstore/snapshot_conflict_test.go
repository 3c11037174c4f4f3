package raftstore

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/hashicorp/raft"
)

// The terms of a conflictHistory, before the one of its later entries.
const (
	earlyTerm = historyTerm - 2
	lostTerm  = historyTerm - 1 // in which a leader wrote what was never committed
)

// conflictHistory is aheadHistory whose first entries, up to aheadOwn, are of an earlier term.
func conflictHistory() *history {
	h := aheadHistory()
	for _, e := range h.entries[:aheadOwn] {
		e.Term = earlyTerm
	}
	return h
}

// strays has a follower, which has the history up to aheadOwn, take entries of another leader up to an index. They are
// never committed. One of them is a change of the membership.
func (f *follower) strays(to uint64) {
	f.t.Helper()
	req := raft.AppendEntriesRequest{RPCHeader: f.header(), Term: lostTerm, Entries: f.h.entries[:aheadOwn], LeaderCommitIndex: aheadOwn}
	f.takes(&req)
	f.holds(aheadOwn)
	lost := &history{entries: req.Entries[:aheadOwn:aheadOwn], stamp: 2_000_000}
	lost.members("n2", "n3")
	for lost.last() < to {
		lost.command(adding(5, lost.last(), "lost"))
	}
	strays := lost.entries[aheadOwn:]
	for _, e := range strays {
		e.Term = lostTerm
	}
	req.PrevLogEntry, req.Entries = aheadOwn, strays
	f.takes(&req)
}

// agrees compares the log on disk with the history, and what Raft takes for its end.
func (f *follower) agrees(last, term uint64) {
	f.t.Helper()
	first, err := f.files.FirstIndex()
	if err != nil {
		f.t.Fatal(err)
	}
	end, err := f.files.LastIndex()
	if err != nil {
		f.t.Fatal(err)
	}
	for index := max(first, 1); index <= end; index++ {
		var e raft.Log
		if err := f.files.GetLog(index, &e); err != nil {
			f.t.Fatalf("entry %d of %d to %d: %v", index, first, end, err)
		}
		if want := f.h.entries[index-1]; e.Term != want.Term || !bytes.Equal(e.Data, want.Data) {
			f.t.Fatalf("entry %d is of term %d, and not that of the history, of term %d", index, e.Term, want.Term)
		}
	}
	f.ends(last, term)
}

// ends compares what Raft takes for the end of its log.
func (f *follower) ends(last, term uint64) {
	f.t.Helper()
	index, of := f.raft.LastEntry()
	if (index != last || of != term) && index > 0 {
		f.t.Fatalf("Raft takes %d of term %d for the end of the log, want %d of term %d", index, of, last, term)
	}
}

// A follower has entries that were never committed, at the index of the snapshot that it is sent, or up to there, or
// beyond. They go with all that is before them, and the leader's next entries are taken, whether the follower is
// started again in between or not.
func TestSnapshotOverConflictingEntries(t *testing.T) {
	eachLog(t, func(t *testing.T, kind LogKind) {
		h := conflictHistory()
		content := stream(t, h.state(t, aheadContent))
		for _, to := range []uint64{aheadIndex - 1, aheadIndex, aheadIndex + 2, aheadIndex + 200} {
			for _, again := range []bool{false, true} {
				t.Run(fmt.Sprintf("up to %d, started again: %v", to, again), func(t *testing.T) {
					f := newFollower(t, h, kind)
					f.strays(to)
					f.install(aheadIndex, content)
					if again {
						f.restart()
					}
					f.append(aheadIndex+1, aheadIndex)
					f.knows(aheadIndex)
					f.append(aheadIndex+1, aheadIndex+2)
					f.agrees(aheadIndex+2, historyTerm)
					f.append(aheadIndex+3, h.last())
					f.holds(h.last())
					f.knows(h.last())
					f.agrees(h.last(), historyTerm)
					f.restart()
					f.append(h.last()+1, h.last())
					f.holds(h.last())
					f.knows(h.last())
				})
			}
		}
	})
}

// What a follower has behind the snapshot's last entry may be committed by its word, and is kept when that entry is the
// snapshot's (Raft thesis, figure 5.3).
func TestSnapshotKeepsEntriesThatFollow(t *testing.T) {
	eachLog(t, func(t *testing.T, kind LogKind) {
		h := conflictHistory()
		f := newFollower(t, h, kind)
		f.appendUpTo(1, aheadIndex+3, aheadOwn)
		f.install(aheadIndex, stream(t, h.state(t, aheadContent)))
		f.agrees(aheadIndex+3, historyTerm)
		f.restart()
		f.agrees(aheadIndex+3, historyTerm)
		f.append(aheadIndex+4, h.last())
		f.holds(h.last())
	})
}

// A node died while it installed a snapshot over entries that were never committed. They are gone after the next start,
// unless they were left by a version that kept them: then they go with the next snapshot.
func TestCrashOverConflictingEntries(t *testing.T) {
	eachLog(t, func(t *testing.T, kind LogKind) {
		h := conflictHistory()
		content := stream(t, h.state(t, aheadContent))
		for _, to := range []uint64{aheadIndex - 1, aheadIndex, aheadIndex + 2} {
			for _, step := range steps {
				t.Run(fmt.Sprintf("up to %d, %s", to, step.name), func(t *testing.T) {
					f := newFollower(t, h, kind)
					f.strays(to)
					f.stop()
					step.leave(torn{f, content})
					f.start()
					if !step.counts || step.noted {
						f.install(aheadIndex, content)
					}
					f.knows(aheadIndex)
					f.append(aheadIndex+1, aheadIndex+2)
					f.agrees(aheadIndex+2, historyTerm)
					f.append(aheadIndex+3, h.last())
					f.holds(h.last())
					f.restart()
					f.append(h.last()+1, h.last())
					f.holds(h.last())
					f.knows(h.last())
				})
			}
		}
	})
}
