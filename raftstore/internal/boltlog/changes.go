package boltlog

import (
	"math"

	"github.com/hashicorp/raft"
)

// entryOverhead is for what surrounds the data of an entry, so that many small ones count too.
const entryOverhead = 128

// changes are what has been written to a log within some time, as far as its copy must know. A nil *changes notes
// nothing.
type changes struct {
	deleted []span // in this order
	stored  uint64 // the lowest index of the entries stored
	bytes   int64  // of the entries stored
	keys    map[string]bool
}

func newChanges() *changes {
	return &changes{stored: math.MaxUint64, keys: make(map[string]bool)}
}

func (c *changes) store(e *raft.Log) {
	if c != nil {
		c.stored = min(c.stored, e.Index)
		c.bytes += size(e)
	}
}

func (c *changes) delete(first, last uint64) {
	if c != nil {
		c.deleted = append(c.deleted, span{first, last})
	}
}

func (c *changes) set(key string) {
	if c != nil {
		c.keys[key] = true
	}
}

// hasDeleted tells whether an entry was deleted.
func (c *changes) hasDeleted(index uint64) bool {
	for _, d := range c.deleted {
		if d.first <= index && index <= d.last {
			return true
		}
	}
	return false
}

// size is about what an entry takes in the file.
func size(e *raft.Log) int64 { return int64(len(e.Data) + len(e.Extensions) + entryOverhead) }
