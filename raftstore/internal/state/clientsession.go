package state

import (
	"encoding/binary"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/wire"
)

// clientSessionLife is how long the results of a client session are kept after its last request, by the clock of the
// client sessions. It is far longer than any request may take. Requests of a process that was suspended for longer are
// refused.
const clientSessionLife = 10 * 60 * 1000 // ms

// clientSessionStep is the most by which one entry advances that clock. Stamps jump when a leader's clock does, or when
// the next leader's clock is ahead; no client session may be forgotten for that. In an idle cluster the clock is slow.
// Still, there are never more client sessions than come with clientSessionLife/clientSessionStep entries.
const clientSessionStep = 5 * 1000 // ms

// clientSessionSweep is how often, by that clock, old client sessions are looked for.
const clientSessionSweep = 60 * 1000 // ms

// MaxWindow bounds the requests that one client session may await: more than a node has under way and those that were
// answered while the oldest of them waits. With maxClientSessions it bounds what the records of results take, whatever
// the log has.
const MaxWindow = 1 << 18

// maxClientSessions bounds the client sessions. A process needs one, and another after each of its own failures.
const maxClientSessions = 2048

// A clientSession is the record of one process's requests (Raft thesis, section 6.3): what each was
// answered, from the lowest for which the process still waits.
type clientSession struct {
	low    uint64 // the number of the first result
	heard  uint64 // when, by the client sessions' clock
	dirty  bool   // changed since the last flush
	window []byte // results from low on: 0 none yet, else 1 + status
}

// recall returns the recorded result of a request. Requests outside the window are answered, not applied: below the
// window the process has received the result or given up, and none of our processes sends a request far above it.
func (o *clientSession) recall(counter uint64) (wire.Status, bool) {
	if counter < o.low || counter-o.low >= MaxWindow {
		return wire.Disconnected, true
	}
	if i := counter - o.low; i < uint64(len(o.window)) && o.window[i] != 0 {
		return wire.Status(o.window[i] - 1), true
	}
	return 0, false
}

func (o *clientSession) record(counter uint64, s wire.Status) {
	i := counter - o.low
	for uint64(len(o.window)) <= i {
		o.window = append(o.window, 0)
	}
	o.window[i] = byte(s) + 1
}

// trim forgets the results below low.
func (o *clientSession) trim(low uint64) {
	if low <= o.low {
		return
	}
	if n := low - o.low; n < uint64(len(o.window)) {
		o.window = o.window[n:]
	} else {
		o.window = o.window[:0]
	}
	o.low = low
}

// clientSessions are the client sessions that have sent a request lately.
type clientSessions struct {
	byID  map[uint64]*clientSession
	clock uint64   // ms
	swept uint64   // when old ones were looked for last
	dead  []uint64 // dropped since the last flush
}

func newClientSessions() *clientSessions {
	return &clientSessions{byID: make(map[uint64]*clientSession)}
}

// open makes a new client session. It returns NotOK when there is one with that number, or there are too many.
func (os *clientSessions) open(id uint64) wire.Status {
	if os.find(id) != nil {
		return wire.NotOK
	}
	if len(os.byID) >= maxClientSessions {
		if os.sweep(); len(os.byID) >= maxClientSessions {
			return wire.NotOK
		}
	}
	os.byID[id] = &clientSession{low: 1, heard: os.clock, dirty: true}
	return wire.OK
}

// find returns a client session, nil when it is unknown. An old client session counts as unknown even before it is
// swept: machines sweep at different times, and must give the same results.
func (os *clientSessions) find(id uint64) *clientSession {
	if o := os.byID[id]; o != nil && !os.old(o) {
		return o
	}
	return nil
}

// hear returns the client session of a request, nil when it is unknown, and records that the process is there.
func (os *clientSessions) hear(id entry.Identity) *clientSession {
	o := os.find(id.Origin)
	if o == nil {
		return nil
	}
	o.heard, o.dirty = os.clock, true
	o.trim(id.Low)
	return o
}

func (os *clientSessions) old(o *clientSession) bool { return o.heard+clientSessionLife < os.clock }

// pass advances the clock by the time between the stamps of two entries, and drops the client sessions that are too
// old.
func (os *clientSessions) pass(ms uint64) {
	os.clock += min(ms, clientSessionStep)
	if os.clock < os.swept+clientSessionSweep {
		return
	}
	os.sweep()
}

// sweep drops the client sessions that are too old.
func (os *clientSessions) sweep() {
	os.swept = os.clock
	for id, o := range os.byID {
		if os.old(o) {
			delete(os.byID, id)
			os.dead = append(os.dead, id)
		}
	}
}

// In the file: key 'o' and the client session's number, 9 bytes; value heard, low, then the window.
const clientSessionKeySize = 9

func clientSessionKey(id uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{'o'}, id)
}

func (o *clientSession) encode() []byte {
	b := make([]byte, 0, 16+len(o.window))
	b = binary.BigEndian.AppendUint64(b, o.heard)
	b = binary.BigEndian.AppendUint64(b, o.low)
	return append(b, o.window...)
}

func decodeClientSession(b []byte) (*clientSession, bool) {
	if len(b) < 16 || len(b) > 16+MaxWindow {
		return nil, false
	}
	return &clientSession{
		heard:  binary.BigEndian.Uint64(b),
		low:    binary.BigEndian.Uint64(b[8:]),
		window: append([]byte(nil), b[16:]...),
	}, true
}
