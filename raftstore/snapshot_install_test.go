package raftstore

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/distcache/distcache/raftstore/internal/raftnode"
)

// A node's own snapshot counts only when its state file holds it: the process may die the moment after, the log
// trimmed.
func TestOwnSnapshotIsOnDisk(t *testing.T) {
	t.Parallel()
	h := aheadHistory()
	f := newFollower(t, h, LogBolt)
	for from := uint64(1); from+3 <= h.last(); from += 4 {
		to := from + 3
		f.append(from, to)
		f.reaches(to)
		f.compacts()
		dir := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(dir, os.DirFS(f.dir)); err != nil {
			t.Fatal(err)
		}
		crashed := startFollower(t, h, LogBolt, dir)
		crashed.holds(to)
		crashed.knows(to)
		crashed.stop()
	}
}

// A snapshot that is no whole state is not installed. The node stays what it was, and takes the next one.
func TestDamagedSnapshotIsNotInstalled(t *testing.T) {
	eachLog(t, func(t *testing.T, kind LogKind) {
		h := aheadHistory()
		f := newFollower(t, h, kind)
		f.append(1, aheadOwn)
		f.holds(aheadOwn)
		content := stream(t, h.state(t, aheadContent))
		half := content[:len(content)/2]
		for _, bad := range []struct {
			name  string
			size  int // as announced
			bytes []byte
			end   error
		}{
			{"nothing", 0, nil, io.EOF},
			{"half of one", len(half), half, io.EOF},
			{"one broken off", len(content), half, errors.New("the leader's disk is broken")},
			{"something else", 16, []byte("this is no state"), io.EOF},
		} {
			r := io.MultiReader(bytes.NewReader(bad.bytes), iotest.ErrReader(bad.end))
			if f.send(aheadIndex, bad.size, r) == nil {
				t.Errorf("%s was installed", bad.name)
			}
			f.holds(aheadOwn)
			f.knows(aheadOwn)
		}
		f.append(aheadOwn+1, aheadOwn+1) // it goes on
		f.holds(aheadOwn + 1)
		f.install(aheadIndex, content)
		f.holds(aheadContent)
		f.append(aheadIndex+1, h.last())
		f.restart()
		f.append(h.last()+1, h.last())
		f.holds(h.last())
	})
}

// A follower to whose cluster others were added, and from which it was itself taken out and taken in again, knows the
// membership that the snapshot has, started again or not: then that which the log has after it.
func TestMembershipOfASnapshot(t *testing.T) {
	eachLog(t, func(t *testing.T, kind LogKind) {
		h := aheadHistory()
		for _, at := range []uint64{1, 11, 14, 17} {
			f := newFollower(t, h, kind)
			f.install(at, stream(t, h.state(t, h.last()-1)))
			for range 2 {
				f.knows(at)
				if role := f.raft.Role(); role != raftnode.Follower {
					t.Errorf("at %d it is a %v", at, role)
				}
				f.restart()
			}
			for index := at + 1; index <= h.last(); index++ {
				f.append(index, index)
				f.knows(index)
			}
			f.restart()
			f.knows(h.last())
			f.append(h.last()+1, h.last())
			f.holds(h.last())
			f.stop()
		}
	})
}
