package loadtest

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// A lane has one request under way at a time: it chooses operations, writes their payloads and judges the answers.
type lane struct {
	b       *Bench
	rec     *recorder
	rng     uint64
	next    uint64 // number of the next new session
	added   fifo   // sessions of its own that are there
	op      wire.Op
	session uint64        // that the request is about
	asked   time.Duration // since the start
	payload []byte
}

func newLane(b *Bench, n int) *lane {
	number := uint64(b.lanes)
	b.lanes++
	return &lane{b: b, rec: b.recorders[n%len(b.recorders)], rng: mix(b.corpus.seed ^ number), next: (number + 1) << 40}
}

// pick chooses the next request, which is asked now.
func (l *lane) pick() {
	l.rng = mix(l.rng)
	l.op = l.b.Mix.pick(l.rng >> 8)
	if l.op == wire.OpRemove {
		var ok bool
		if l.session, ok = l.added.pop(); !ok {
			l.op = wire.OpAdd
		}
	}
	switch l.op {
	case wire.OpAdd:
		l.session = l.next
		l.next++
	case wire.OpGet, wire.OpHave:
		l.session = mix(l.rng) % uint64(l.b.Sessions)
	}
	l.asked = l.b.at()
}

// choose makes the next request.
func (l *lane) choose() (wire.Op, []byte) {
	l.pick()
	if l.op == wire.OpAdd {
		var id [idLen]byte
		c := l.b.corpus
		l.payload = wire.AppendAdd(l.payload[:0], c.id(id[:0], l.session), c.data(l.session), l.b.Timeout)
	} else {
		l.payload = l.b.corpus.id(l.payload[:0], l.session)
	}
	return l.op, l.payload
}

// judge takes down the answer, and says whether it was good.
func (l *lane) judge(answer []byte, err error) bool {
	if err == nil {
		err = l.check(answer)
	}
	return l.take(l.b.at(), err)
}

// take takes down what came of the request at a time.
func (l *lane) take(at time.Duration, err error) bool {
	missed := err == wire.NotOK && l.op != wire.OpAdd
	if err != nil && !missed {
		l.rec.bad(l.op, kind(err))
		return false
	}
	if l.op == wire.OpAdd && l.b.Mix[wire.OpRemove] > 0 {
		l.added.push(l.session)
	}
	l.rec.good(l.op, at-l.asked, missed)
	l.b.gap.good(at)
	return true
}

var errWrongData = errors.New("wrong data")

func (l *lane) check(answer []byte) error {
	if l.op != wire.OpGet {
		return wire.ParseStatus(answer)
	}
	return l.checkData(wire.ParseGet(answer))
}

func (l *lane) checkData(data []byte, err error) error {
	if err == nil && !bytes.Equal(data, l.b.corpus.data(l.session)) {
		return errWrongData
	}
	return err
}

// kind is the name under which an error is counted.
func kind(err error) string {
	var status wire.Status
	switch {
	case errors.As(err, &status):
		return status.Name()
	case errors.Is(err, wire.ErrCorrupt):
		return "corrupt answer"
	case errors.Is(err, client.ErrTimeout):
		return "no answer in time"
	case errors.Is(err, client.ErrLost):
		return "connection lost"
	case errors.Is(err, client.ErrNotSent):
		return "not sent"
	}
	return err.Error()
}

// A fifo holds the newest numbers pushed, up to a bound.
type fifo struct {
	ring        []uint64
	first, size int
}

const maxFifo = 1024

func (f *fifo) push(n uint64) {
	if f.ring == nil {
		f.ring = make([]uint64, maxFifo)
	}
	f.ring[(f.first+f.size)%maxFifo] = n
	if f.size < maxFifo {
		f.size++
	} else {
		f.first = (f.first + 1) % maxFifo
	}
}

func (f *fifo) pop() (uint64, bool) {
	if f.size == 0 {
		return 0, false
	}
	n := f.ring[f.first]
	f.first = (f.first + 1) % maxFifo
	f.size--
	return n, true
}

// oneByOne is a worker that opens a connection for every request.
type oneByOne struct {
	*lane
	shooters []*shooter
	current  int
}

func newOneByOne(b *Bench, n int) *oneByOne {
	w := &oneByOne{lane: newLane(b, n), current: n % len(b.Addresses)}
	for _, a := range b.Addresses {
		w.shooters = append(w.shooters, newShooter(a))
	}
	return w
}

func (w *oneByOne) run(ctx context.Context) {
	var wait backoff
	for ctx.Err() == nil {
		op, payload := w.choose()
		reqCtx, cancel := context.WithTimeout(ctx, w.b.RequestTimeout)
		answer, err := w.shooters[w.current].do(reqCtx, op, payload)
		cancel()
		switch {
		case ctx.Err() != nil, w.b.at() >= w.b.Duration: // which may be why there was no answer
			return
		case w.judge(answer, err):
			wait = 0
		default:
			if err != nil {
				w.current = (w.current + 1) % len(w.shooters)
			}
			wait.sleep(ctx)
		}
	}
}

// A backoff is how long to wait after the next failure.
type backoff time.Duration

const (
	minBackoff = backoff(5 * time.Millisecond)
	maxBackoff = backoff(100 * time.Millisecond)
)

// longer is how long to wait now, which is longer than the last time.
func (d *backoff) longer() time.Duration {
	*d = min(max(2**d, minBackoff), maxBackoff)
	return time.Duration(*d)
}

// sleep waits, or until ctx is done, and for longer the next time.
func (d *backoff) sleep(ctx context.Context) { pause(ctx, d.longer()) }

// pause waits for so long, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
