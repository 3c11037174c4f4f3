package serve

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

const (
	readBuffer = 4096 // bytes of memory that every connection has for what arrives
	lastLooks  = 16   // how many reads a stopping server makes for bytes that had arrived: a peer may go on sending
)

var readBuffers = sync.Pool{New: func() any { return new([readBuffer]byte) }}

// An inbox holds what has arrived and has not been taken: buf[from:to].
type inbox struct {
	small      *[readBuffer]byte // the memory of buf, unless a message needs more
	large      int               // the size of buf if a message needs more
	buf        []byte
	from, to   int
	arrival    time.Time // when the last bytes were read
	unfinished bool      // buf begins with a part of a message, for which there is a deadline
	looks      int       // the number of such reads so far, up to lastLooks
}

func (in *inbox) bytes() []byte { return in.buf[in.from:in.to] }

// read reads more.
func (in *inbox) read(c *Conn) error {
	if err := in.makeRoom(c); err != nil {
		return err
	}
	n, err := c.nc.Read(in.buf[in.to:])
	if errors.Is(err, os.ErrDeadlineExceeded) && c.s.stopping.Load() && in.looks < lastLooks {
		if now, ok := c.nc.(interface{ ReadNow([]byte) (int, error) }); ok {
			in.looks++
			n, _ = now.ReadNow(in.buf[in.to:])
		}
	}
	if n > 0 {
		in.to += n
		in.arrived(c, n)
		return nil // the next read finds the error again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// arrived counts bytes that have been read.
func (in *inbox) arrived(c *Conn, n int) {
	c.s.counters.bytesIn.Add(uint64(n))
	in.arrival = time.Now()
}

// makeRoom makes room for more in buf.
func (in *inbox) makeRoom(c *Conn) error {
	switch {
	case in.from == in.to:
		if in.small == nil {
			in.drop(c)
			in.fill(c, nil)
		}
		in.from, in.to = 0, 0
	case in.from > 0:
		in.to = copy(in.buf, in.bytes())
		in.from = 0
	case in.to == len(in.buf):
		return in.grow(c)
	}
	return nil
}

// grow doubles the memory for a message that does not fit. All connections together may use MaxHeld for such messages.
func (in *inbox) grow(c *Conn) error {
	s, size := c.s, min(2*len(in.buf), c.s.cfg.MaxMessage)
	if size <= len(in.buf) {
		return brokenError{errTooLong}
	}
	if s.counters.unfinished.Load()+int64(size-in.large) > int64(s.cfg.MaxHeld) && size > s.share(s.cfg.MaxHeld) {
		return errTooMany
	}
	grown := make([]byte, size)
	to := copy(grown, in.bytes())
	in.drop(c)
	in.buf, in.to, in.large = grown, to, size
	s.counters.unfinished.Add(int64(size))
	return nil
}

// fill puts bytes that have been read elsewhere into an empty inbox.
func (in *inbox) fill(c *Conn, b []byte) {
	if len(b) <= readBuffer {
		in.small = readBuffers.Get().(*[readBuffer]byte)
		in.buf, in.to = in.small[:], copy(in.small[:], b)
		return
	}
	in.buf, in.to, in.large = bytes.Clone(b), len(b), len(b)
	c.s.counters.unfinished.Add(int64(in.large))
}

// drop gives back the memory, with what is in it.
func (in *inbox) drop(c *Conn) {
	if in.small != nil {
		readBuffers.Put(in.small)
	}
	c.s.counters.unfinished.Add(-int64(in.large))
	in.small, in.buf, in.from, in.to, in.large = nil, nil, 0, 0, 0
}
