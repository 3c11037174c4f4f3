package loadtest

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// A stream is a sequence of requests, one after the other: it chooses operations, writes their payloads and checks the
// answers.
type stream struct {
	b       *Bench
	rec     *recorder
	rng     uint64
	next    uint64 // the number of the next new session
	added   fifo   // sessions that the stream has added and not removed
	op      wire.Op
	session uint64        // of the request
	asked   time.Duration // when the request was made, since the start
	payload []byte
}

func newStream(b *Bench, n int) *stream {
	number := uint64(b.streams)
	b.streams++
	return &stream{b: b, rec: b.recorders[n%len(b.recorders)],
		rng: mix(b.corpus.seed ^ number), next: (number + 1) << 40}
}

// pick chooses the next request, to be made now.
func (s *stream) pick() {
	s.rng = mix(s.rng)
	s.op = s.b.Mix.pick(s.rng >> 8)
	if s.op == wire.OpRemove {
		var ok bool
		if s.session, ok = s.added.pop(); !ok {
			s.op = wire.OpAdd
		}
	}
	switch s.op {
	case wire.OpAdd:
		s.session = s.next
		s.next++
	case wire.OpGet, wire.OpHave:
		s.session = mix(s.rng) % uint64(s.b.Sessions)
	}
	s.asked = s.b.at()
}

// choose picks the next request, and encodes it.
func (s *stream) choose() (wire.Op, []byte) {
	s.pick()
	if s.op == wire.OpAdd {
		var id [idLen]byte
		c := s.b.corpus
		s.payload = wire.AppendAdd(s.payload[:0], c.id(id[:0], s.session), c.data(s.session), s.b.Timeout)
	} else {
		s.payload = s.b.corpus.id(s.payload[:0], s.session)
	}
	return s.op, s.payload
}

// judge records an answer, and tells whether it was good.
func (s *stream) judge(answer []byte, err error) bool {
	if err == nil {
		err = s.check(answer)
	}
	return s.take(s.b.at(), err)
}

// take records the result of the request at a time since the start.
func (s *stream) take(at time.Duration, err error) bool {
	missed := err == wire.NotOK && s.op != wire.OpAdd
	if err != nil && !missed {
		s.rec.bad(s.op, kind(err))
		return false
	}
	if s.op == wire.OpAdd && s.b.Mix[wire.OpRemove] > 0 {
		s.added.push(s.session)
	}
	s.rec.good(s.op, at-s.asked, missed)
	s.b.gap.good(at)
	return true
}

var errWrongData = errors.New("wrong data")

func (s *stream) check(answer []byte) error {
	if s.op != wire.OpGet {
		return wire.ParseStatus(answer)
	}
	return s.checkData(wire.ParseGet(answer))
}

func (s *stream) checkData(data []byte, err error) error {
	if err == nil && !bytes.Equal(data, s.b.corpus.data(s.session)) {
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

// A fifo holds the last numbers pushed, up to maxFifo.
type fifo []uint64

const maxFifo = 1024

func (f *fifo) push(n uint64) {
	*f = append((*f)[max(0, len(*f)+1-maxFifo):], n)
}

func (f *fifo) pop() (n uint64, ok bool) {
	if len(*f) == 0 {
		return 0, false
	}
	n, *f = (*f)[0], (*f)[1:]
	return n, true
}

// A backoff is the pause after the last failure.
type backoff time.Duration

const (
	minBackoff = backoff(5 * time.Millisecond)
	maxBackoff = backoff(100 * time.Millisecond)
)

// longer is the pause to make now: longer than the last.
func (d *backoff) longer() time.Duration {
	*d = min(max(2**d, minBackoff), maxBackoff)
	return time.Duration(*d)
}

// sleep makes the next pause, which ends when ctx is done.
func (d *backoff) sleep(ctx context.Context) { pause(ctx, d.longer()) }

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
