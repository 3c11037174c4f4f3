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
	readBuffer = 4096 // the memory that every connection has for what arrives
	lastLooks  = 16   // reads of what had arrived when the server stopped reading: a peer may go on sending
)

var readBuffers = sync.Pool{New: func() any { return new([readBuffer]byte) }}

// An inbox has what has arrived and has not been taken, buf[from:to].
type inbox struct {
	small      *[readBuffer]byte // buf, unless a message needs more
	large      int               // the size of buf otherwise
	buf        []byte
	from, to   int
	arrival    time.Time // of the bytes read last
	unfinished bool      // they begin a message that has a deadline
	looks      int       // for what had arrived when the server stopped reading
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
		return nil // an error comes again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// arrived takes note of bytes that have been read.
func (in *inbox) arrived(c *Conn, n int) {
	c.s.counters.bytesIn.Add(uint64(n))
	in.arrival = time.Now()
}

// makeRoom makes sure that there is room after in.to.
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

// grow doubles the memory for a message that does not fit. All connections together may have as much of it as they may
// hold requests.
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

// fill puts into an empty inbox what has been read elsewhere.
func (in *inbox) fill(c *Conn, b []byte) {
	if len(b) <= readBuffer {
		in.small = readBuffers.Get().(*[readBuffer]byte)
		in.buf, in.to = in.small[:], copy(in.small[:], b)
		return
	}
	in.buf, in.to, in.large = bytes.Clone(b), len(b), len(b)
	c.s.counters.unfinished.Add(int64(in.large))
}

// drop gives the memory back, and what is in it.
func (in *inbox) drop(c *Conn) {
	if in.small != nil {
		readBuffers.Put(in.small)
	}
	c.s.counters.unfinished.Add(-int64(in.large))
	in.small, in.buf, in.from, in.to, in.large = nil, nil, 0, 0, 0
}
