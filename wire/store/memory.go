package store

import (
	"bytes"
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/distcache/distcache/wire"
)

// Memory is a [Store] that keeps sessions in this process only, as the original dc_server does. At its limit it drops
// the sessions that expire soonest. Make one with [NewMemory].
type Memory struct {
	limit int
	start time.Time // all times are counted from start, on the monotonic clock

	mu       sync.RWMutex
	sessions map[string]*session
	queue    expiryQueue
	added    uint64
	expired  uint64 // sessions dropped when they expired
	evicted  uint64 // sessions dropped before, because of the limit
	timer    *time.Timer
	wake     time.Duration // when the timer fires; 0 when it is not set
	closed   bool
}

type session struct {
	id     string
	data   []byte
	expiry time.Duration
	seq    uint64 // of sessions that expire together, the one with the lowest goes first
	index  int    // in the queue
}

const (
	// sweepDelay is how long the memory of an expired session may be kept. One timer serves all sessions that expire
	// within.
	sweepDelay = 500 * time.Millisecond
	// sweepBatch is how many sessions are dropped under one hold of the mutex.
	sweepBatch = 4096
)

var (
	_ Store       = (*Memory)(nil)
	_ NonBlocking = (*Memory)(nil)
	_ Counter     = (*Memory)(nil)
)

// NewMemory makes a store of at most limit sessions; 0 means no limit. Close the store after use.
func NewMemory(limit int) *Memory {
	return &Memory{limit: limit, start: time.Now(), sessions: make(map[string]*session)}
}

// NonBlocking is true: no call has to wait.
func (m *Memory) NonBlocking(Op) bool { return true }

// Add implements [Store]. At the limit, the session that expires soonest is dropped, even if that is the new one.
func (m *Memory) Add(_ context.Context, id, data []byte, timeout time.Duration) error {
	if err := wire.CheckAdd(id, data, timeout); err != nil {
		return err
	}
	data = bytes.Clone(data)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return wire.Disconnected
	}
	now := m.now()
	if old := m.sessions[string(id)]; old != nil {
		if old.expiry > now {
			return wire.MatchingSession
		}
		m.dropOld(old, now)
	}
	m.added++
	s := &session{id: string(id), data: data, expiry: now + timeout, seq: m.added}
	m.sessions[s.id] = s
	heap.Push(&m.queue, s)
	if m.limit > 0 && len(m.queue) > m.limit {
		m.dropOld(m.queue[0], now)
	}
	m.schedule()
	return nil
}

// Get implements [Store].
func (m *Memory) Get(_ context.Context, id []byte) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s, err := m.live(id)
	if err != nil {
		return nil, err
	}
	return s.data, nil
}

// Remove implements [Store].
func (m *Memory) Remove(_ context.Context, id []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.live(id)
	if err != nil {
		return err
	}
	m.drop(s)
	return nil
}

// Have implements [Store].
func (m *Memory) Have(_ context.Context, id []byte) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, err := m.live(id)
	return err
}

// Len is the number of live sessions.
func (m *Memory) Len() int {
	for {
		m.mu.Lock()
		more := m.sweep()
		n := len(m.queue)
		m.mu.Unlock()
		if !more {
			return n
		}
	}
}

// Close forgets all sessions; every call from then on is answered Disconnected.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	if m.timer != nil {
		m.timer.Stop()
	}
	clear(m.sessions)
	m.queue = nil
	return nil
}

func (m *Memory) now() time.Duration { return time.Since(m.start) }

// live finds a session that has not expired. The caller holds mu, at least for reading.
func (m *Memory) live(id []byte) (*session, error) {
	if m.closed {
		return nil, wire.Disconnected
	}
	s := m.sessions[string(id)]
	if s == nil || s.expiry <= m.now() {
		return nil, wire.NotOK
	}
	return s, nil
}

// Dropped is how many sessions have been dropped because they expired, and because there were too many.
func (m *Memory) Dropped() (expired, evicted uint64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.expired, m.evicted
}

// dropOld drops a session that nobody has removed.
func (m *Memory) dropOld(s *session, now time.Duration) {
	if s.expiry <= now {
		m.expired++
	} else {
		m.evicted++
	}
	m.drop(s)
}

func (m *Memory) drop(s *session) {
	delete(m.sessions, s.id)
	heap.Remove(&m.queue, s.index)
}

// sweep drops expired sessions, a batch at most, and tells whether there are more.
func (m *Memory) sweep() (more bool) {
	now := m.now()
	for n := 0; len(m.queue) > 0 && m.queue[0].expiry <= now; n++ {
		if n == sweepBatch {
			return true
		}
		m.dropOld(m.queue[0], now)
	}
	return false
}

// schedule sets the timer for soon after the first session expires.
func (m *Memory) schedule() {
	if len(m.queue) == 0 {
		return
	}
	due := m.queue[0].expiry + sweepDelay
	if m.wake != 0 && m.wake < due+sweepDelay/2 {
		return
	}
	m.wake = due
	if m.timer == nil {
		m.timer = time.AfterFunc(due-m.now(), m.expire)
	} else {
		m.timer.Reset(due - m.now())
	}
}

func (m *Memory) expire() {
	for more := true; more; {
		m.mu.Lock()
		m.wake = 0
		more = m.sweep()
		if !more && !m.closed {
			m.schedule()
		}
		m.mu.Unlock()
	}
}

// An expiryQueue is a heap, for container/heap, with the session that expires next at its front.
type expiryQueue []*session

func (q expiryQueue) Len() int { return len(q) }

func (q expiryQueue) Less(i, j int) bool {
	if q[i].expiry != q[j].expiry {
		return q[i].expiry < q[j].expiry
	}
	return q[i].seq < q[j].seq
}

func (q expiryQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *expiryQueue) Push(x any) {
	s := x.(*session)
	s.index = len(*q)
	*q = append(*q, s)
}

func (q *expiryQueue) Pop() any {
	old := *q
	n := len(old) - 1
	s := old[n]
	old[n] = nil
	*q = old[:n]
	return s
}
