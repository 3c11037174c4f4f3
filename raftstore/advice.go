package raftstore

import (
	"errors"
	"fmt"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
	"github.com/distcache/distcache/raftstore/internal/raftlog"
	"github.com/distcache/distcache/raftstore/internal/state"
	"github.com/distcache/distcache/raftstore/internal/walfile"
)

// advise says what to do about files that are damaged, or of another version, after what is wrong with them.
func (c Config) advise(err error) error {
	for _, damaged := range []error{raftlog.ErrDamaged, boltfile.ErrDamaged, walfile.ErrDamaged, state.ErrForeign} {
		if errors.Is(err, damaged) {
			return fmt.Errorf("%w; %s", err, c.startOver())
		}
	}
	return err
}

// adviseForeign says what to do about files that don't belong together, after why they don't.
func (c Config) adviseForeign(err error) error {
	if errors.Is(err, ErrForeign) {
		return fmt.Errorf("%w; %s", err, c.startOver())
	}
	return err
}

// startOver says what to do with a directory that this node can't go on with. Nobody can make good a log: it has votes.
func (c Config) startOver() string {
	switch {
	case c.Peer == "":
		return fmt.Sprintf("empty %s and start the node again: it begins without sessions", c.Dir)
	case len(c.Cluster) > 1 || len(c.Join) > 0:
		return fmt.Sprintf("empty %s and start the node again: it joins its cluster anew and gets everything from the others", c.Dir)
	default:
		return fmt.Sprintf("empty %s and start the node with the address of another member to join; one that was alone starts without sessions", c.Dir)
	}
}
