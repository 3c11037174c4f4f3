package raftstore_test

import (
	"errors"
	"testing"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
)

// written has so many sessions added while one node leads, and gives what that node has counted.
func written(t *testing.T, c *testcluster.Cluster, n int) (leader *testcluster.Node, m raftstore.Metrics) {
	t.Helper()
	for first := 0; ; first += n {
		leader = c.Leader()
		began := leader.Status()
		for i := range n {
			add(t, leader.Store, first+i)
		}
		m = leader.Metrics()
		if st := leader.Status(); began.Role == raftstore.RoleLeader && st.Role == began.Role && st.Term == began.Term {
			return leader, m
		}
	}
}

func TestMetricsCountWhatANodeDoes(t *testing.T) {
	c := testcluster.Start(t, 3)
	const n = 20
	leader, m := written(t, c, n)
	if m.Voters != 3 || m.Nonvoters != 0 {
		t.Errorf("%d voters and %d nonvoters", m.Voters, m.Nonvoters)
	}
	if m.Elections == 0 || m.LeaderChanges == 0 {
		t.Errorf("the leader counts %d elections and %d leaders", m.Elections, m.LeaderChanges)
	}
	if m.BatchOperations.Sum < n || m.BatchOperations.Count() == 0 {
		t.Errorf("%v operations in %d batches", m.BatchOperations.Sum, m.BatchOperations.Count())
	}
	// Adding one by one makes a batch of each, which what the cluster notes of itself may join.
	if batches := m.BatchOperations.Count() - m.BatchOperations.Buckets[0]; batches < n {
		t.Errorf("%d batches of an operation or more: %+v", batches, m.BatchOperations)
	}
	if m.BatchBytes.Sum == 0 || m.BatchSeconds.Sum <= 0 || m.BatchSeconds.Count() < n {
		t.Errorf("batches: %+v, %+v", m.BatchBytes, m.BatchSeconds)
	}
	if m.LogWriteSeconds.Count() == 0 || m.LogWriteSeconds.Sum <= 0 || float64(m.LogWriteBytes) < m.BatchBytes.Sum {
		t.Errorf("the log: %+v, %d bytes", m.LogWriteSeconds, m.LogWriteBytes)
	}
	testcluster.Eventually(t, func() error {
		if m := leader.Metrics(); m.FlushSessions < n || m.FlushSeconds.Count() == 0 {
			return errors.New("not flushed")
		}
		return nil
	})
	for i := range 5 {
		if err := leader.Remove(ctxFor(t, patience), id(i)); err != nil {
			t.Fatal(err)
		}
	}
	testcluster.Eventually(t, func() error {
		if leader.Metrics().FlushDeletes < 5 {
			return errors.New("the removals were not flushed")
		}
		return nil
	})
	for _, n := range c.Running() {
		m := n.Metrics()
		if m.LeaderChanges == 0 {
			t.Errorf("%s counts no leaders", n.Config.Name)
		}
		if m.Elections == 0 && m.BatchOperations.Sum != 0 { // it has never led
			t.Errorf("a follower counts %v operations in batches", m.BatchOperations.Sum)
		}
	}

	leader.Stop()
	c.Leader()
	var elections, leaders uint64
	for _, n := range c.Running() {
		elections += n.Metrics().Elections
		leaders += n.Metrics().LeaderChanges
	}
	if elections == 0 || leaders < 3 { // both have seen the first, and at least the new one itself
		t.Errorf("after an election the others count %d elections, %d leaders", elections, leaders)
	}
}
