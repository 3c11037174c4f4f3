package client

import (
	"github.com/distcache/distcache/internal/linked"
	"github.com/distcache/distcache/wire"
)

// A call is one request under way. Whoever removes it from Conn.pending, under the lock, finishes it.
type call struct {
	op      wire.Op
	uid     uint32
	frames  []byte              // the request as it goes out
	queued  bool                // in Conn.queue
	unsent  bool                // of a failed write: nothing of it went out
	fn      func([]byte, error) // Start's; nil: Do's, which waits on done
	done    chan struct{}       // capacity 1
	payload []byte              // the answer
	err     error

	linked.Links[call] // in Conn.queue
}

// A queue holds calls in the order in which they are to go out. All of them may give up at once.
type queue struct{ linked.List[call, *call] }

func (q *queue) add(k *call) {
	k.queued = true
	q.Push(k)
}

func (q *queue) remove(k *call) {
	k.queued = false
	q.Remove(k)
}

// maxKept is the largest buffer that is kept for reuse.
const maxKept = 16 << 10

func (c *Conn) newCall(op wire.Op) *call {
	k, _ := c.calls.Get().(*call)
	if k == nil {
		k = &call{done: make(chan struct{}, 1)}
	}
	k.op = op
	return k
}

// recycle makes the call ready for the next. Its done channel must be empty.
func (c *Conn) recycle(k *call) {
	frames := k.frames[:0]
	if cap(frames) > maxKept {
		frames = nil
	}
	*k = call{frames: frames, done: k.done}
	c.calls.Put(k)
}

// finish hands the call its result; the call is not for the one who finished it to touch after that. The payload is
// only lent.
func (c *Conn) finish(k *call, payload []byte, err error) {
	if k.fn != nil {
		fn := k.fn
		c.recycle(k)
		fn(payload, err)
		return
	}
	if err == nil {
		k.payload = keep(payload)
	}
	k.err = err
	k.done <- struct{}{}
}

// oneByte is every answer of one byte, which is most of them.
var oneByte = func() (all [256]byte) {
	for i := range all {
		all[i] = byte(i)
	}
	return all
}()

// keep copies an answer's payload out of the reader's buffer.
func keep(payload []byte) []byte {
	switch len(payload) {
	case 0:
		return []byte{}
	case 1:
		b := payload[0]
		return oneByte[b : int(b)+1 : int(b)+1]
	}
	return append(make([]byte, 0, len(payload)), payload...)
}
