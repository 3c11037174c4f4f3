package raftstore

import (
	"bytes"
	"io"
	"testing"
)

// A node has begun to take a snapshot of its own when it is sent a newer one. The older must not take the newer one's
// place: the log has nothing between the two.
func TestOwnSnapshotIsOvertaken(t *testing.T) {
	eachLog(t, func(t *testing.T, kind LogKind) {
		h := aheadHistory()
		const received = aheadOwn + 1 // no change of the membership is in between, for which Raft would drop its own
		f := newFollower(t, h, kind)
		f.append(1, aheadOwn)
		f.holds(aheadOwn)

		b := stream(t, h.state(t, aheadContent))
		r, w := io.Pipe()
		sent := make(chan error, 1)
		go func() { sent <- f.send(received, len(b), r) }()
		if _, err := w.Write(b[:len(b)/2]); err != nil { // Raft is busy with it now
			t.Fatal(err)
		}
		own := make(chan error, 1)
		go func() { own <- f.raft.Snapshot(10240) }() // is as of what has been applied, and waits for Raft to give it the configuration
		if _, err := io.Copy(w, bytes.NewReader(b[len(b)/2:])); err != nil {
			t.Fatal(err)
		}
		w.Close()
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if err := <-own; err != nil {
			t.Logf("own snapshot: %v", err)
		}
		f.knows(received)
		f.append(received+1, aheadContent+1)
		f.holds(aheadContent + 1)
		f.restart()
		f.append(aheadContent+2, h.last())
		f.holds(h.last())
		f.knows(h.last())
	})
}
