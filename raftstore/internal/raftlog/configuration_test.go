package raftlog

import (
	"errors"
	"testing"

	"github.com/hashicorp/raft"
)

// failingLog fails to store when told to, and shows who was the only voter while it stored.
type failingLog struct {
	memoryLog
	err     error
	storing func()
}

func (l *failingLog) StoreLogs(es []*raft.Log) error {
	l.storing()
	if l.err != nil {
		return l.err
	}
	return l.memoryLog.StoreLogs(es)
}

func votersEntry(names ...raft.ServerID) []byte {
	var c raft.Configuration
	for _, n := range names {
		c.Servers = append(c.Servers, raft.Server{ID: n, Address: raft.ServerAddress(n)})
	}
	return raft.EncodeConfiguration(c)
}

func TestOnlyVoter(t *testing.T) {
	disk := &failingLog{memoryLog: newMemoryLog()}
	l := over(t, disk, Options{Self: "n1"})
	var meanwhile bool
	disk.storing = func() { meanwhile = l.SoleVoter() }
	index := uint64(0)
	store := func(wantMeanwhile, want bool, configurations ...[]byte) {
		t.Helper()
		es := []*raft.Log{{Index: index + 1, Type: raft.LogCommand}}
		for i, c := range configurations {
			es = append(es, &raft.Log{Index: index + 2 + uint64(i), Type: raft.LogConfiguration, Data: c})
		}
		err := l.StoreLogs(es)
		if !errors.Is(err, disk.err) {
			t.Fatalf("StoreLogs = %v", err)
		}
		if err == nil {
			index += uint64(len(es))
		}
		if got := l.SoleVoter(); meanwhile != wantMeanwhile || got != want {
			t.Errorf("the only voter: %v while the entries were stored, %v afterwards; want %v, %v",
				meanwhile, got, wantMeanwhile, want)
		}
	}
	nonvoter := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{
		{ID: "n1"}, {ID: "n2", Suffrage: raft.Nonvoter}}})

	store(false, false)
	store(false, true, votersEntry("n1"))
	store(true, true)
	store(true, true, nonvoter)
	store(false, false, votersEntry("n1", "n2"))
	store(false, false, votersEntry("n1", "n2"), votersEntry("n1", "n2", "n3"))
	store(false, true, votersEntry("n1"))
	store(false, false, votersEntry("n2"))
	store(false, true, votersEntry("n1"))
	store(false, true, votersEntry("n1", "n2"), votersEntry("n1"))

	disk.err = errors.New("disk full")
	store(false, false, votersEntry("n1", "n2"))
	store(false, false, votersEntry("n1"))
	disk.err = nil
	store(false, true, votersEntry("n1"))

	if err := l.DeleteRange(1, 2); err != nil || !l.SoleVoter() {
		t.Errorf("after the front of the log went: %v, %v, want true", err, l.SoleVoter())
	}
	if err := l.DeleteRange(index-1, index); err != nil || l.SoleVoter() {
		t.Errorf("after the end of the log went: %v, %v, want false", err, l.SoleVoter())
	}

	l.Follow([]raft.Server{{ID: "n1"}})
	if !l.SoleVoter() {
		t.Error("not the only voter in a configuration that has no other")
	}
	if l.VotersUnknown(); l.SoleVoter() {
		t.Error("still the only voter after a snapshot came")
	}
	if l.Configured() != index {
		t.Errorf("the newest configuration is at %d, not %d", l.Configured(), index)
	}
}
