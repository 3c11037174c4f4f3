package raftstore

import (
	"testing"

	"github.com/distcache/distcache/raftstore/internal/entry"
)

// A node has the cluster's name as soon as that is in its log: it may be the only one that can lead those who have applied it,
// and they turn away who does not say it.
func TestNameInTheLog(t *testing.T) {
	naming := func(name string) entry.Op {
		return entry.Op{Kind: entry.Node, Identity: entry.Identity{Origin: 1, Counter: 2, Low: 1}, ID: []byte(clusterKey), Data: []byte(name)}
	}
	h := &history{stamp: 1000}
	h.members("n1", "n3")
	h.command(adding(1, 1, "one"))
	h.command(adding(2, 1, "two"), naming("the name"), adding(2, 2, "three"))
	h.command(adding(1, 3, "four"))
	for _, kind := range []LogKind{LogBolt, LogWAL} {
		t.Run(kind.String(), func(t *testing.T) {
			f := newFollower(t, h, kind)
			says := func(logged, applied string) {
				t.Helper()
				if got := f.members.clusterName(); got != logged {
					t.Errorf("the name in the log is %q, want %q", got, logged)
				}
				if got := f.clusterName(); got != applied {
					t.Errorf("the name applied is %q, want %q", got, applied)
				}
			}
			f.append(1, 2)
			f.reaches(2)
			says("", "")
			f.restart()
			says("", "")
			f.appendUpTo(3, 4, 2)
			says("the name", "")
			f.restart()
			says("the name", "")
			f.append(5, 4)
			f.reaches(4)
			says("the name", "the name")
		})
	}
}
