package raftstore_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
)

// A directory of an earlier build is refused before anything in it is changed, with what it is and what to do.
func TestEarlierStateIsRefused(t *testing.T) {
	t.Parallel()
	n := testcluster.New(t).Add("one", func(*raftstore.Config) {})
	n.Start()
	add(t, n.Store, 1)
	n.Stop()
	db, err := bbolt.Open(filepath.Join(n.Config.Dir, "state.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("meta"))
		var version int
		if _, err := fmt.Sscanf(string(b.Get([]byte("format"))), "distcache state %d", &version); err != nil {
			return err
		}
		return b.Put([]byte("format"), fmt.Appendf(nil, "distcache state %d", version-1))
	})
	if err := fmt.Sprint(err, db.Close()); err != "<nil> <nil>" {
		t.Fatal(err)
	}
	_, err = raftstore.Open(n.Config)
	if err == nil || !strings.Contains(err.Error(), "of a version this program reads") || !strings.Contains(err.Error(), "; empty "+n.Config.Dir) {
		t.Errorf("opened with %v", err)
	}
}

// Nodes tell each other which version they are, and since when, so that one sees a rolling upgrade to its end.
func TestMembersTellTheirVersions(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3, func(cfg *raftstore.Config) { cfg.Version = "version of " + cfg.Name })
	for _, n := range c.Running() {
		s := n.Status()
		if s.Version != "version of "+n.Config.Name || s.Uptime < 0 || s.Uptime > int64(patience.Seconds()) {
			t.Errorf("%s: version %q, up %d s", n.Config.Name, s.Version, s.Uptime)
		}
		testcluster.Eventually(t, func() error {
			members, err := n.Members(ctxFor(t, patience))
			for _, m := range members {
				if m.Version != "version of "+m.Name {
					err = errors.Join(err, fmt.Errorf("%s says that %s has version %q (%s)",
						n.Config.Name, m.Name, m.Version, m.Error))
				}
			}
			return err
		})
	}
}
