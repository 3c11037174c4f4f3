package snoop

import (
	"bytes"
	"slices"
	"time"

	"github.com/distcache/distcache/wire"
)

// A watch follows one connection: it takes bytes and puts out lines. One goroutine at a time feeds it, with a request's
// bytes before its answer's. It takes the time from its callers.
type watch struct {
	cfg   *Config
	queue *queue
	tally *tally

	conn     uint64
	since    time.Time
	decoders [2]*decoder
	told     [2]bool // of a fault in that direction
	messages [2]uint64
	requests matcher
	line     []byte
}

func newWatch(cfg *Config, queue *queue, tally *tally, conn uint64, now time.Time) *watch {
	keep := wire.AddOverhead + wire.MaxID
	if cfg.Data {
		keep = wire.MaxPayload
	}
	return &watch{
		cfg: cfg, queue: queue, tally: tally, conn: conn, since: now,
		decoders: [2]*decoder{toServer: newDecoder(wire.Requests, keep), toClient: newDecoder(wire.Responses, keep)},
	}
}

// opened puts out that the connection was opened.
func (w *watch) opened(client, listener string) {
	if w.connections() {
		w.put(&opened{w.place(w.since), client, listener})
	}
}

// bytes takes bytes that were read.
func (w *watch) bytes(dir direction, p []byte, at time.Time) {
	w.tally.passed(dir, len(p))
	w.decoders[dir].feed(p, func(m *message) error { return w.found(dir, m, at) })
	w.fault(dir, at)
}

// end takes the end of a direction.
func (w *watch) end(dir direction, at time.Time) {
	w.decoders[dir].end()
	w.fault(dir, at)
}

// closed puts out that the connection has ended.
func (w *watch) closed(reason string, at time.Time) {
	w.tally.count(ended, 1)
	w.tally.count(unanswered, w.requests.waiting())
	if !w.connections() {
		return
	}
	l := &closed{place: w.place(at), reason: reason, lasted: at.Sub(w.since), messages: w.messages,
		unanswered: w.requests.waiting()}
	for dir, d := range w.decoders {
		l.bytes[dir] = d.offset
		l.undecoded += d.lost()
	}
	w.put(l)
}

// failed puts out that there is no connection to the server. No filter hides that line.
func (w *watch) failed(reason string, at time.Time) {
	w.tally.count(ended, 1)
	w.tally.count(unserved, 1)
	w.put(&failed{w.place(at), reason})
}

func (w *watch) place(at time.Time) place { return place{at, w.conn} }

// connections tells whether lines about connections are shown: not if filters pick out messages.
func (w *watch) connections() bool {
	return !w.cfg.Quiet && len(w.cfg.Ops) == 0 && len(w.cfg.IDPrefix) == 0
}

// found puts out a message.
func (w *watch) found(dir direction, m *message, at time.Time) error {
	l := &exchanged{
		place: w.place(at), dir: dir, uid: m.UID, op: m.Op,
		size: m.size, wire: m.end - m.start,
	}
	var shown bool
	if dir == toServer {
		id, err := l.readRequest(m)
		if err != nil {
			return err
		}
		shown = w.picked(m.Op, id)
		w.requests.request(&asked{uid: m.UID, op: m.Op, id: l.id, shown: shown, at: at})
		w.tally.request(l)
	} else {
		if err := l.readAnswer(m); err != nil {
			return err
		}
		a := w.requests.answer(m.UID, m.Op)
		if a == nil {
			shown = len(w.cfg.IDPrefix) == 0 && w.picked(m.Op, nil)
		} else {
			l.asked, l.known, l.id, l.latency, shown = true, true, a.id, at.Sub(a.at), a.shown
		}
		w.tally.answer(l)
	}
	w.messages[dir]++
	if w.cfg.Data {
		l.payload = m.payload
	}
	if shown && !w.cfg.Quiet {
		w.put(l)
	}
	return nil
}

// picked tells whether a message passes the filters.
func (w *watch) picked(op wire.Op, id []byte) bool {
	return (len(w.cfg.Ops) == 0 || slices.Contains(w.cfg.Ops, op)) && bytes.HasPrefix(id, w.cfg.IDPrefix)
}

// fault puts out, once, that a direction can't be decoded any further. No filter hides that line.
func (w *watch) fault(dir direction, at time.Time) {
	d := w.decoders[dir]
	if d.fault == nil || w.told[dir] {
		return
	}
	w.told[dir] = true
	w.tally.count(undecodable, 1)
	l := &malformed{place: w.place(at), dir: dir, fault: *d.fault}
	if w.cfg.Data {
		l.header = d.broken()
	}
	w.put(l)
}

// put queues a line. If there is no room for it, the line is not even formatted.
func (w *watch) put(l line) {
	if w.queue.full() {
		return
	}
	w.line = w.cfg.append(w.line[:0], l)
	w.queue.put(w.line)
	if cap(w.line) > maxLine {
		w.line = nil
	}
}

// maxLine is how much memory a watch keeps for its next line; a dump can need much more.
const maxLine = 4096
