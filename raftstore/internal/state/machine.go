package state

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/files"
	"github.com/distcache/distcache/raftstore/internal/mutant"
	"github.com/distcache/distcache/raftstore/internal/seal"
	"github.com/distcache/distcache/wire"
)

// Options of a Machine; zero values mean the defaults.
type Options struct {
	FlushInterval time.Duration // how long a change may stay in memory only; 300ms
	FlushBytes    int           // session data that start a flush at once; 4 MiB
	HoldBytes     int           // session data in memory beyond which Apply waits for the flusher; 32 MiB

	// Failed is called once, from a goroutine of the Machine, when the file can't be written or a log entry can't be
	// read. The process must end: the log has everything, and the next start replays it. Failed does not call Close.
	Failed func(error)
	// Flushed, if not nil, is told of each flush: how long it took, and how many sessions were written and deleted.
	Flushed func(took time.Duration, writes, deletes int)
	// Dropped, if not nil, is told how many sessions an entry has dropped because they have expired, and how many it
	// has pushed out before. Apply calls it with the machine locked: it must be quick.
	Dropped func(expired, evicted int)
}

func (o Options) withDefaults() Options {
	if o.FlushInterval == 0 {
		o.FlushInterval = 300 * time.Millisecond
	}
	if o.FlushBytes == 0 {
		o.FlushBytes = 4 << 20
	}
	if o.HoldBytes == 0 {
		o.HoldBytes = 32 << 20
	}
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	return o
}

// ErrClosed is returned by calls on a closed Machine, and to an Apply that waited when it was closed.
var ErrClosed = errors.New("state machine is closed")

var errAbandoned = errors.New("state machine is abandoned")

// A Machine is the state machine. Apply, Advance and Install are called by one goroutine at a time; everything else
// may be called by any number at once.
type Machine struct {
	path string
	opts Options

	mu      sync.RWMutex
	c       contents
	db      *bbolt.DB
	dirty   changes        // since the last flush
	fresh   map[ref][]byte // the values of sessions that are not in the file yet
	held    int            // bytes of session data in memory, those being flushed included
	room    *sync.Cond     // on mu: held has shrunk, or the machine has failed or closed
	flushed uint64         // the applied index in the file
	err     error          // why nothing more is applied, flushed or read; ErrClosed after Close

	streams   map[*stream]struct{} // under way
	replacing bool                 // no new ones: the file is about to be replaced

	receipt atomic.Pointer[receipt] // of the file that Check has read last; nil: none, or installed

	compacting *compaction // under way, or its old file not closed yet; nil: none

	flushMu sync.Mutex  // held by whoever flushes or replaces the file; before mu
	journal *compaction // is told what flushes change; nil: none; under flushMu
	wake    chan struct{}
	stop    chan struct{}
	done    chan struct{}
}

// Open opens the state file at path, or creates it, reads it, and starts the flusher.
func Open(path string, opts Options) (*Machine, error) {
	if err := files.Remove(path + compactSuffix); err != nil { // a crash has left it
		return nil, err
	}
	c, empty, err := read(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	db, err := openFile(path, empty)
	if err != nil {
		return nil, err
	}
	m := &Machine{
		path:    path,
		opts:    opts.withDefaults(),
		c:       c,
		db:      db,
		flushed: c.applied,
		wake:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		fresh:   make(map[ref][]byte),
		streams: make(map[*stream]struct{}),
		done:    make(chan struct{}),
	}
	m.room = sync.NewCond(&m.mu)
	go m.flusher()
	return m, nil
}

// Close flushes what is in memory, stops the flusher and closes the file. It may be called twice.
func (m *Machine) Close() error {
	m.mu.Lock()
	if errors.Is(m.err, ErrClosed) {
		m.mu.Unlock()
		<-m.done
		return nil
	}
	failed := m.err
	m.mu.Unlock()

	var err error
	if failed == nil {
		err = m.Flush()
	}
	m.mu.Lock()
	if errors.Is(m.err, ErrClosed) { // two at once
		m.mu.Unlock()
		<-m.done
		return nil
	}
	m.err = ErrClosed
	m.room.Broadcast()
	m.mu.Unlock()
	close(m.stop)
	<-m.done

	m.breakStreams()
	m.stopCompacting()
	m.flushMu.Lock()
	defer m.flushMu.Unlock()
	return errors.Join(err, m.db.Close())
}

// Abandon closes the machine as a crash would: what is only in memory is lost.
func (m *Machine) Abandon() error {
	m.mu.Lock()
	if m.err == nil {
		m.err = errAbandoned
	}
	m.room.Broadcast()
	m.mu.Unlock()
	return m.Close()
}

// Apply applies one log entry and returns a status for each of its operations. An entry that is already part of the
// state is skipped and gives nil. An error means that the entry can't be read, or that the machine has failed before:
// then it applies nothing more, the file stays as it is, and reads fail.
func (m *Machine) Apply(index, term uint64, data []byte) ([]wire.Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.held > m.opts.HoldBytes && m.err == nil {
		m.nudge()
		m.room.Wait()
	}
	if m.err != nil {
		return nil, m.err
	}
	if index <= m.c.applied {
		return nil, nil
	}
	results, err := m.applyEntry(data)
	if err != nil {
		// A part of the entry may have been applied in memory. That part must not get into the file.
		m.err = fmt.Errorf("log entry %d: %w", index, err)
		m.nudge() // so that the flusher reports the error
		return nil, m.err
	}
	m.advance(index, term)
	if m.dirty.bytes > m.opts.FlushBytes {
		m.nudge()
	}
	return results, nil
}

func (m *Machine) applyEntry(data []byte) ([]wire.Status, error) {
	h, ops, err := entry.ParseHeader(data)
	if err != nil {
		return nil, err
	}
	last := m.c.stamp
	m.c.stamp = max(last, h.Stamp)
	m.c.clientSessions.pass(m.c.stamp - last)
	m.evict(h.Capacity, dropAtOnce-m.expire())

	results := make([]wire.Status, h.Count)
	var op entry.Op
	for i := range results {
		if ops, err = entry.NextOp(ops, &op); err != nil {
			return nil, fmt.Errorf("operation %d: %w", i, err)
		}
		results[i] = m.apply(&op, h.Capacity)
	}
	return results, entry.End(ops)
}

// Advance notes that the log has come to an entry that does not concern sessions.
func (m *Machine) Advance(index, term uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if index > m.c.applied && m.err == nil {
		m.advance(index, term)
	}
}

func (m *Machine) advance(index, term uint64) {
	m.c.applied, m.c.appliedTerm = index, term
	m.dirty.any = true
}

// apply carries out one operation. If its result is on record, apply returns that result instead. If its client
// session is unknown, the operation may have been carried out before, and is refused.
func (m *Machine) apply(op *entry.Op, capacity uint64) wire.Status {
	if op.Kind == entry.Session {
		return m.c.clientSessions.open(op.Origin)
	}
	o := m.c.clientSessions.hear(op.Identity)
	if o == nil {
		return wire.Disconnected
	}
	if s, ok := o.recall(op.Counter); ok && !mutant.NoResults {
		return s
	}
	s := wire.OK
	found := m.c.index.find(op.ID)
	if found != 0 && m.over(found) {
		m.drop(found)
		m.countDropped(1, 0)
		found = 0
	}
	switch {
	case op.Kind == entry.Add && found != 0:
		s = wire.MatchingSession
	case op.Kind == entry.Add && op.Sealed && !m.covered(op):
		s = SealAgain
	case op.Kind == entry.Add:
		m.add(op)
		m.evict(capacity, 2) // one more than was added, so that a large excess shrinks
	case found == 0:
		s = wire.NotOK
	default:
		m.drop(found)
	}
	o.record(op.Counter, s)
	return s
}

// SealAgain is the status of an Add whose data are sealed under the key of an epoch that is over before the session
// expires, or too long after that. The session is not added, and can be sealed again.
const SealAgain wire.Status = 199

// covered tells whether an Add's data are sealed under the key of the right epoch.
func (m *Machine) covered(op *entry.Op) bool {
	ok, err := seal.Covers(op.Data, m.c.stamp+uint64(op.Timeout))
	return ok && err == nil
}

func (m *Machine) add(op *entry.Op) {
	m.c.seq++
	// A timeout of 0 is over at once: the next entry's stamp may be the same, so it is not kept even until then.
	if op.Timeout == 0 {
		return
	}
	r := m.c.index.insert(op.ID, m.c.stamp+uint64(op.Timeout), m.c.seq, inMemory, op.Sealed)
	m.fresh[r] = makeValue(op.ID, op.Data, op.Sealed)
	if !op.Sealed {
		m.c.plain++
	}
	m.held += len(op.Data)
	m.dirty.adds = append(m.dirty.adds, added{r, m.c.seq})
	m.dirty.bytes += len(op.Data)
}

// drop removes a session from the index, and from the file at the next flush. If a flush is writing the session, that
// flush notices at its end that the session is gone.
func (m *Machine) drop(r ref) {
	s := m.c.index.at(r)
	if !s.sealed {
		m.c.plain--
	}
	switch s.place {
	case inMemory:
		n := len(dataOf(m.fresh[r]))
		m.held -= n
		m.dirty.bytes -= n
	case onDisk:
		m.dirty.deletes = append(m.dirty.deletes, sessionKey(s.expiry, s.seq))
	}
	delete(m.fresh, r)
	m.c.index.remove(r)
}

// dropAtOnce is the most sessions that one entry drops because they have expired or the limit was lowered. The next
// entries drop the rest: a million at once would block the machine for seconds. Reads never return expired sessions,
// dropped or not.
const dropAtOnce = 4096

func (m *Machine) expire() (dropped int) {
	for ; dropped < dropAtOnce; dropped++ {
		r := m.c.index.next()
		if r == 0 || !m.over(r) {
			break
		}
		m.drop(r)
	}
	m.countDropped(dropped, 0)
	return dropped
}

// over tells whether a session has expired.
func (m *Machine) over(r ref) bool { return m.c.index.at(r).expiry <= m.c.stamp }

// live gives the session with that id, or 0 when there is none that expires after now.
func (m *Machine) live(id []byte, now uint64) ref {
	if r := m.c.index.find(id); r != 0 && !m.over(r) && (m.c.index.at(r).expiry > now || mutant.StampsOnly) {
		return r
	}
	return 0
}

// evict drops the sessions that exceed the capacity, but at most most.
func (m *Machine) evict(capacity uint64, most int) {
	var expired, evicted int
	for ; most > 0 && capacity > 0 && uint64(m.c.index.len()) > capacity; most-- {
		r := m.c.index.next()
		if m.over(r) {
			expired++
		} else {
			evicted++
		}
		m.drop(r)
	}
	m.countDropped(expired, evicted)
}

func (m *Machine) countDropped(expired, evicted int) {
	if m.opts.Dropped != nil && expired+evicted > 0 {
		m.opts.Dropped(expired, evicted)
	}
}

// Data are a session's, which whoever has them may keep but not write to.
type Data struct {
	Bytes  []byte
	Sealed bool
}

// Get returns a session's data. It returns false when there is no such session, or the session has expired by now or by
// the last stamp. On a failed or closed machine Get returns an error, since an entry may have been applied in part.
func (m *Machine) Get(id []byte, now uint64) (Data, bool, error) {
	var missing uint64
	for {
		f := m.locate(id, now)
		switch {
		case f.err != nil:
			return Data{}, false, f.err
		case f.seq == 0:
			return Data{}, false, nil
		case f.value != nil:
			return Data{dataOf(f.value), f.sealed}, true, nil
		case f.seq == missing:
			return Data{}, false, fmt.Errorf("state file %s: %w: a session is missing", m.path, boltfile.ErrDamaged)
		}
		value, found, err := readValue(f.db, sessionKey(f.expiry, f.seq))
		if found {
			return Data{value, f.sealed}, true, nil
		}
		if err != nil && !errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
			return Data{}, false, fmt.Errorf("read state file %s: %w", m.path, err)
		}
		// The session was removed meanwhile, or the file replaced, and with it the index: look again.
		if err == nil {
			missing = f.seq
		}
	}
}

// A finding is what the index says of an id at one moment.
type finding struct {
	expiry, seq uint64 // seq is 0 when there is no session
	sealed      bool
	value       []byte // nil when it is in the file
	db          *bbolt.DB
	err         error // of the machine
}

func (m *Machine) locate(id []byte, now uint64) finding {
	m.mu.RLock()
	defer m.mu.RUnlock()
	f := finding{db: m.db, err: m.err}
	if r := m.live(id, now); r != 0 {
		s := m.c.index.at(r)
		f.expiry, f.seq, f.sealed, f.value = s.expiry, s.seq, s.sealed, m.fresh[r]
	}
	return f
}

func readValue(db *bbolt.DB, key [keySize]byte) (data []byte, found bool, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		if v := tx.Bucket(sessionsBucket).Get(key[:]); v != nil {
			value, ok := valueOf(key[:], v)
			if !ok {
				return errRecord
			}
			data, found = append([]byte(nil), dataOf(value)...), true
		}
		return nil
	})
	return data, found, err
}

// Have tells whether there is a session with that id, as Get does.
func (m *Machine) Have(id []byte, now uint64) (bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.err != nil {
		return false, m.err
	}
	return m.live(id, now) != 0, nil
}

// Len is the number of sessions, with those that have expired and not been dropped yet.
func (m *Machine) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.c.index.len()
}

// Plain is the number of sessions whose data are not sealed.
func (m *Machine) Plain() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.c.plain
}

// Applied is the index and term of the last entry that is part of the state.
func (m *Machine) Applied() (index, term uint64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.c.applied, m.c.appliedTerm
}

// Clock is the last stamp, in ms since 1970, and the time at which the next session expires, 0 when there is none.
func (m *Machine) Clock() (stamp, next uint64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if r := m.c.index.next(); r != 0 {
		next = m.c.index.at(r).expiry
	}
	return m.c.stamp, next
}

// Flushed is the applied index that the file holds, and the file's size in bytes.
func (m *Machine) Flushed() (index uint64, size int64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.flushed, fileSize(m.db)
}
