package boltlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
)

const (
	// pieceBytes is how much is copied at a time, and how much may be left for the last step, for which the writes wait.
	// Each piece is synced, so that a write to the log never has more than that before it in the disk's queue.
	pieceBytes = 512 << 10
	// pieceGrowth is how many times as large a piece may be when the log grows as fast as it is copied, as long as the
	// writes don't wait for it.
	pieceGrowth = 16
	// pieceRest is how many times as long as a piece took the disk is left to others before the next, as long as the log
	// does not grow by more than one part in restGrowth of what is copied: else the copy might not catch up.
	pieceRest  = 1
	restGrowth = 4
)

// A copier copies a log that is written to meanwhile, piece by piece. Before each it takes the changes made since it
// took them last: it repeats on the copy what was deleted, and goes back to the lowest entry that was stored. After
// that, of all that had happened when it took them,
//
//   - the copy has no entry that the log has not: an entry goes into the copy after it was read, and if it was deleted
//     after it was read, that is repeated later still;
//   - the entries before next are in the copy as they are in the log: one stored again moves next to before it.
type copier struct {
	log      *Log
	from, to *store
	piece    int64 // bytes
	reached  func(step) error

	next    uint64
	missing uint64 // an entry that was not there when it was to be read, 0 for none
	grown   int64  // bytes, that were stored before the last piece and after the one before
	copied  int64  // bytes, by the last piece
	end     bool   // that came to the log's end
}

// A piece is what is to be done next.
type piece struct {
	changes *changes
	entries span
	none    bool  // there are no entries
	more    bool  // there are others behind them
	bound   int64 // bytes of entries after which to stop
}

// run copies all there is. It returns while it holds the writes back, unless there is an error: for them there is
// nothing left to do.
func (c *copier) run(ctx context.Context) error {
	for {
		if err := errors.Join(ctx.Err(), c.reached(atPiece)); err != nil {
			return err
		}
		began := time.Now()
		if done, err := c.turn(); done || err != nil {
			return err
		}
		if !c.end && c.grown*restGrowth <= c.copied {
			boltfile.Rest(ctx, pieceRest*time.Since(began))
		}
	}
}

// turn copies a piece. It is done when that was all there is, and writes were held back; they still are.
func (c *copier) turn() (done bool, err error) {
	c.log.writing.Lock()
	p, err := c.take()
	if err != nil {
		c.log.writing.Unlock()
		return false, err
	}
	// Writes wait for the last piece, which is small, and for one now and then when the log grows as fast as it is
	// copied: else that would never end.
	grown := p.changes.bytes
	c.grown = grown
	hold := c.end && grown <= c.piece || c.copied > 0 && grown >= c.copied
	p.bound = max(c.piece, 2*grown)
	if !hold {
		p.bound = min(p.bound, pieceGrowth*c.piece)
		c.log.writing.Unlock()
		return false, c.copy(p)
	}
	err = c.copy(p)
	if done = err == nil && c.end; !done {
		c.log.writing.Unlock()
	}
	return done, err
}

// take finds what is to be done next. Writes are held back.
func (c *copier) take() (p piece, err error) {
	l := c.log
	if err := cmp.Or(l.refused, l.failed); err != nil {
		return p, fmt.Errorf("a write to the log has failed: %w", err)
	}
	p.changes, l.changes = l.changes, newChanges()
	if c.missing != 0 && !p.changes.hasDeleted(c.missing) {
		return p, fmt.Errorf("%w: entry %d is missing", boltfile.ErrDamaged, c.missing)
	}
	c.missing = 0
	c.next = min(c.next, p.changes.stored)
	var ok bool
	p.entries, p.more, ok = l.holds.entries.from(c.next)
	p.none = !ok
	return p, nil
}

// copy does what is to be done next.
func (c *copier) copy(p piece) error {
	for _, d := range p.changes.deleted {
		if err := c.to.DeleteRange(d.first, d.last); err != nil {
			return err
		}
	}
	for key := range p.changes.keys {
		v, err := c.from.Get([]byte(key))
		if err != nil {
			return fmt.Errorf("%q: %w", key, err)
		}
		if err := c.to.Set([]byte(key), v); err != nil {
			return err
		}
	}
	c.copied, c.end = 0, p.none
	if p.none {
		return nil
	}
	es, err := c.read(p)
	if err != nil || len(es) == 0 {
		return err
	}
	last := es[len(es)-1].Index
	c.next, c.end = last+1, last == p.entries.last && !p.more
	return c.to.StoreLogs(es)
}

// read reads entries, up to the first that has just been deleted.
func (c *copier) read(p piece) (es []*raft.Log, err error) {
	for i := p.entries.first; ; i++ {
		e := new(raft.Log)
		err := c.from.GetLog(i, e)
		if errors.Is(err, raft.ErrLogNotFound) {
			c.missing = i
			return es, nil
		}
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
		es = append(es, e)
		c.copied += size(e)
		if i == p.entries.last || c.copied >= p.bound {
			return es, nil
		}
	}
}
