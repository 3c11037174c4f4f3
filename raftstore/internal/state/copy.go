package state

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
)

const (
	copyBytes = 256 << 10 // of sessions in a transaction of the copy: others get at the disk in between
	copyRest  = 1         // times as long as such a transaction took, the disk is left to others
	fewKeys   = 256       // changed meanwhile, that are put right in a transaction as small
	manyKeys  = 4096      // with which the copy is put right before it goes on, in transactions like a flush's
)

// copySessions copies the sessions in the file. Sessions that change meanwhile are recorded and copied again later. So
// there is no need for one long transaction, which would keep bbolt from reusing free pages of the file.
func (c *compaction) copySessions(ctx context.Context) error {
	c.m.flushMu.Lock()
	c.m.journal = c
	c.m.flushMu.Unlock()
	var next []byte
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		began := time.Now()
		var err error
		if next, err = c.copyFrom(next); err != nil || next == nil {
			return err
		}
		boltfile.Rest(ctx, copyRest*time.Since(began))
		if err := c.repeat(ctx, c.takeMany(next), true); err != nil {
			return err
		}
	}
}

// copyFrom copies some sessions, from the first key that is not below start. It returns the key to go on with, nil at
// the end.
func (c *compaction) copyFrom(start []byte) (next []byte, err error) {
	err = c.from.View(func(tx *bbolt.Tx) error {
		cur := tx.Bucket(sessionsBucket).Cursor()
		k, v := cur.Seek(start)
		err := c.put(func(b *bbolt.Bucket) (err error) {
			for n := 0; k != nil && n < copyBytes && err == nil; k, v = cur.Next() {
				n += len(v)
				err = b.Put(k, v)
				c.copied.Add(1)
			}
			return err
		})
		next = bytes.Clone(k)
		return err
	})
	return next, err
}

// put writes to the copy's sessions.
func (c *compaction) put(f func(*bbolt.Bucket) error) error {
	return c.to.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(sessionsBucket)
		b.FillPercent = fillPercent
		return f(b)
	})
}

// flushed notes what a flush has changed. Called with flushMu held.
func (c *compaction) flushed(set *flushSet) {
	for _, w := range set.writes {
		c.changed = append(c.changed, w.key)
	}
	c.changed = append(c.changed, set.deletes...)
}

// take gives what has changed, and begins a new list of it.
func (c *compaction) take() [][keySize]byte {
	c.m.flushMu.Lock()
	defer c.m.flushMu.Unlock()
	changed := c.changed
	c.changed = nil
	return changed
}

// takeMany is take if the list has grown long, and otherwise returns nothing. It bounds the list during the copy. It
// leaves out sessions from next on, which are yet to be copied.
func (c *compaction) takeMany(next []byte) [][keySize]byte {
	c.m.flushMu.Lock()
	many := len(c.changed) >= manyKeys
	c.m.flushMu.Unlock()
	if !many {
		return nil
	}
	return slices.DeleteFunc(c.take(), func(k [keySize]byte) bool { return bytes.Compare(k[:], next) >= 0 })
}

// repeat copies these sessions again, or deletes them from the copy. A session that changes later is in the next list.
// Small transactions with pauses may be slower than flushes, so a long list, or any list with hurry, is copied in large
// transactions without pauses.
func (c *compaction) repeat(ctx context.Context, changed [][keySize]byte, hurry bool) error {
	slices.SortFunc(changed, func(a, b [keySize]byte) int { return bytes.Compare(a[:], b[:]) })
	changed = slices.Compact(changed)
	keys, rest := fewKeys, time.Duration(copyRest)
	if hurry || len(changed) >= manyKeys {
		keys, rest = manyKeys, 0
	}
	for some := range slices.Chunk(changed, keys) {
		if err := ctx.Err(); err != nil {
			return err
		}
		began := time.Now()
		if err := c.repeatSome(some); err != nil {
			return err
		}
		boltfile.Rest(ctx, rest*time.Since(began))
	}
	return nil
}

// catchUp repeats the changed sessions until only few remain. Flushes must wait while the rest is copied.
func (c *compaction) catchUp(ctx context.Context, take func() [][keySize]byte) error {
	least := math.MaxInt
	for stuck := 0; stuck < catchUpRounds; stuck++ {
		changed := take()
		n := len(changed)
		if err := c.repeat(ctx, changed, false); err != nil {
			return err
		}
		if n <= fewKeys {
			return nil
		}
		if n < least-least/4 {
			least, stuck = n, 0
		}
	}
	if least > manyKeys {
		return ErrBehind
	}
	return nil
}

func (c *compaction) repeatSome(keys [][keySize]byte) error {
	return c.from.View(func(tx *bbolt.Tx) error {
		sessions := tx.Bucket(sessionsBucket)
		return c.put(func(b *bbolt.Bucket) (err error) {
			for _, k := range keys {
				if v := sessions.Get(k[:]); v != nil {
					err = errors.Join(err, b.Put(k[:], v))
				} else {
					err = errors.Join(err, b.Delete(k[:]))
				}
			}
			return err
		})
	})
}

func (c *compaction) copyMeta() error {
	return c.from.View(func(from *bbolt.Tx) error {
		return c.to.Update(func(to *bbolt.Tx) error {
			b := to.Bucket(metaBucket)
			return from.Bucket(metaBucket).ForEach(b.Put)
		})
	})
}
