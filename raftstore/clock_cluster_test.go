package raftstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
)

// expires makes sure that a session of a moment comes to its end.
func expires(t *testing.T, s *raftstore.Store, i int) {
	t.Helper()
	if err := s.Add(ctxFor(t, patience), id(i), data(i), 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	testcluster.Eventually(t, func() error {
		if err := s.Have(ctxFor(t, patience), id(i)); err != wire.NotOK {
			return errors.Join(errors.New("it is still there"), err)
		}
		return nil
	})
}

// The log's time goes on after a leader's clock was ahead and has gone back, also with another leader, and when all
// have started again.
func TestTimeGoesOnWhenAClockWentBack(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3)
	add(t, c.Leader().Store, 1)
	raftstore.JumpAhead(t, c.Leader().Store, 30*time.Minute)
	expires(t, c.Leader().Store, 2)
	for _, n := range c.Followers() {
		testcluster.Eventually(t, func() error {
			if !raftstore.KnowsTheTime(n.Store) {
				return errors.New("it does not see the stamps of the leader")
			}
			return nil
		})
	}
	old := c.Leader()
	if err := old.Transfer(ctxFor(t, patience), ""); err != nil {
		t.Fatal(err)
	}
	expires(t, old.Store, 3)
	for _, n := range c.Nodes {
		n.Stop()
	}
	for _, n := range c.Nodes {
		n.Start()
	}
	expires(t, old.Store, 4)
	found(t, old.Store, 1)
	c.Agree()
}
