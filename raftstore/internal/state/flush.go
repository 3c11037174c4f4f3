package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// fillPercent is how full bbolt leaves a page it splits. Keys come nearly in order, so pages are rarely inserted into
// again.
const fillPercent = 0.9

// changes are what the next flush has to write.
type changes struct {
	any     bool            // the applied index moved
	adds    []added         // some may be gone again
	deletes [][keySize]byte // keys that are in the file
	bytes   int             // of the adds' data
}

// An added is a session that an ADD made. If the entry has another seq, the session is gone.
type added struct {
	r   ref
	seq uint64
}

// A flushSet is one transaction's work, taken out of the machine so that Apply can go on.
type flushSet struct {
	writes         []write
	deletes        [][keySize]byte
	clientSessions map[uint64][]byte
	dead           []uint64
	applied        [16]byte
	clock          [24]byte
	index          uint64
	format         []byte // to be written; nil: the file has the right one
}

type write struct {
	added
	key   [keySize]byte
	value []byte
}

// flusher writes what has changed every FlushInterval, or when Apply asks for it.
func (m *Machine) flusher() {
	defer close(m.done)
	t := time.NewTicker(m.opts.FlushInterval)
	defer t.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-t.C:
		case <-m.wake:
		}
		if err := m.Flush(); err != nil && !errors.Is(err, ErrClosed) {
			m.opts.Failed(err)
			<-m.stop
			return
		}
	}
}

func (m *Machine) nudge() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Flush writes everything applied so far to the file and syncs it. After an error the machine applies nothing more.
func (m *Machine) Flush() error {
	m.flushMu.Lock()
	defer m.flushMu.Unlock()
	return m.flushLocked()
}

func (m *Machine) flushLocked() error {
	m.mu.Lock()
	if m.err != nil {
		defer m.mu.Unlock()
		return m.err
	}
	if !m.dirty.any {
		m.mu.Unlock()
		return nil
	}
	set := m.take()
	m.mu.Unlock()

	began := time.Now()
	err := set.commit(m.db)
	if err == nil && m.journal != nil {
		m.journal.flushed(set)
	}
	if err == nil && m.opts.Flushed != nil {
		m.opts.Flushed(time.Since(began), len(set.writes), len(set.deletes))
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.room.Broadcast()
	if err != nil {
		m.err = fmt.Errorf("write state file %s: %w", m.path, err)
		return m.err
	}
	m.settle(set)
	return nil
}

// take moves the changes out of the machine. Called with mu held.
func (m *Machine) take() *flushSet {
	set := &flushSet{
		deletes:        m.dirty.deletes,
		clientSessions: make(map[uint64][]byte),
		dead:           m.c.clientSessions.dead,
		index:          m.c.applied,
	}
	for _, a := range m.dirty.adds {
		s := m.c.index.at(a.r)
		if s.seq != a.seq {
			continue
		}
		s.place = flushing
		if s.sealed && !m.c.format6 {
			m.c.format6, set.format = true, sealedFormat
		}
		set.writes = append(set.writes, write{a, sessionKey(s.expiry, s.seq), m.fresh[a.r]})
	}
	for id, o := range m.c.clientSessions.byID {
		if o.dirty {
			o.dirty = false
			set.clientSessions[id] = o.encode()
		}
	}
	binary.BigEndian.PutUint64(set.applied[:], m.c.applied)
	binary.BigEndian.PutUint64(set.applied[8:], m.c.appliedTerm)
	binary.BigEndian.PutUint64(set.clock[:], m.c.stamp)
	binary.BigEndian.PutUint64(set.clock[8:], m.c.seq)
	binary.BigEndian.PutUint64(set.clock[16:], m.c.clientSessions.clock)
	m.dirty = changes{}
	m.c.clientSessions.dead = nil
	return set
}

// settle notes that a set is in the file. Called with mu held.
func (m *Machine) settle(set *flushSet) {
	for _, w := range set.writes {
		m.held -= len(dataOf(w.value))
		s := m.c.index.at(w.r)
		if s.seq != w.seq { // removed while it was being written
			m.dirty.deletes = append(m.dirty.deletes, w.key)
			m.dirty.any = true
			continue
		}
		s.place = onDisk
		delete(m.fresh, w.r)
	}
	m.flushed = set.index
}

// commit writes the set in one transaction, in the order of the keys.
func (set *flushSet) commit(db *bbolt.DB) error {
	slices.SortFunc(set.writes, func(a, b write) int { return bytes.Compare(a.key[:], b.key[:]) })
	slices.SortFunc(set.deletes, func(a, b [keySize]byte) int { return bytes.Compare(a[:], b[:]) })
	return db.Update(func(tx *bbolt.Tx) error {
		sessions := tx.Bucket(sessionsBucket)
		sessions.FillPercent = fillPercent
		for _, k := range set.deletes {
			if err := sessions.Delete(k[:]); err != nil {
				return err
			}
		}
		for _, w := range set.writes {
			if err := sessions.Put(w.key[:], recordOf(w.key, w.value)); err != nil {
				return err
			}
		}
		return set.commitMeta(tx.Bucket(metaBucket))
	})
}

func (set *flushSet) commitMeta(meta *bbolt.Bucket) error {
	for _, id := range set.dead {
		if err := meta.Delete(clientSessionKey(id)); err != nil {
			return err
		}
	}
	for id, value := range set.clientSessions {
		if err := putMeta(meta, clientSessionKey(id), value); err != nil {
			return err
		}
	}
	if set.format != nil {
		if err := meta.Put(formatKey, set.format); err != nil {
			return err
		}
	}
	if err := putMeta(meta, clockKey, set.clock[:]); err != nil {
		return err
	}
	return putMeta(meta, appliedKey, set.applied[:])
}
