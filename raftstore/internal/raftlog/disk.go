package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/distcache/distcache/raftstore/internal/sum"
)

// Files are the files of an open log, as packages boltlog and walfile implement them. Entries are stored in order. Get
// of a missing key gives nil or raftboltdb.ErrKeyNotFound.
type Files interface {
	raft.LogStore
	Set(key, value []byte) error
	Get(key []byte) ([]byte, error)
	io.Closer
}

// A disk adds a CRC-32C to each log entry, behind its extensions, and to each value kept beside the log, because
// neither library detects a changed byte in an entry that it reads. Data that can't be read, or differ from what was
// stored, are ErrDamaged.
//
// Writes are timed. Raft itself waits for a hung disk for ever (hashicorp/raft#503): the node would neither work nor be
// replaced. An error of the disk ends the node.
type disk struct {
	files Files
	path  string // of the file, or directory, for messages
	limit time.Duration
	fail  func(error)
	wrote func(bytes int, took time.Duration)

	began   atomic.Pointer[time.Time] // when the write under way began; nil: none is under way
	started atomic.Bool               // Raft has started, and has read the log
	broken  atomic.Pointer[error]     // the first write error, or the first damage that was read
	stop    chan struct{}
	closing sync.Once
	done    chan struct{} // closed when the goroutine that watches the writes has ended
}

func openDisk(path string, opts Options) (*disk, error) {
	if opts.Fail == nil {
		opts.Fail = func(error) {}
	}
	if opts.Wrote == nil {
		opts.Wrote = func(int, time.Duration) {}
	}
	if opts.OpenFiles == nil {
		opts.OpenFiles = OpenFiles
	}
	f, err := opts.OpenFiles(path, opts)
	if err != nil {
		return nil, err
	}
	d := &disk{files: f, path: path, limit: opts.DiskTimeout, fail: opts.Fail, wrote: opts.Wrote,
		stop: make(chan struct{}), done: make(chan struct{})}
	if d.limit > 0 {
		go d.watch()
	} else {
		close(d.done)
	}
	return d, nil
}

// Close closes the files, once.
func (d *disk) Close() (err error) {
	d.closing.Do(func() {
		close(d.stop)
		<-d.done
		err = d.files.Close()
	})
	return err
}

func (d *disk) watch() {
	defer close(d.done)
	t := time.NewTicker(d.limit / 10)
	defer t.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-t.C:
		}
		if began := d.began.Load(); began != nil {
			if took := time.Since(*began); took > d.limit {
				d.fail(fmt.Errorf("%w: a write to the log has not ended after %s", ErrDisk, took.Round(time.Second)))
				return
			}
		}
	}
}

// timed runs a write. bytes is the size of its entries. Only one write runs at a time.
func (d *disk) timed(bytes int, write func() error) error {
	began := time.Now()
	d.began.Store(&began)
	defer d.began.Store(nil)
	if err := write(); err != nil {
		err = fmt.Errorf("%w: write to the log: %w", ErrDisk, err)
		d.breaks(err)
		return err
	}
	d.wrote(bytes, time.Since(began))
	return nil
}

// breaks ends the node for an error of the disk, unless the log is being closed.
func (d *disk) breaks(err error) {
	d.broken.CompareAndSwap(nil, &err)
	select {
	case <-d.stop:
	default:
		d.fail(err)
	}
}

// why is the first error of the disk, nil when there was none.
func (d *disk) why() error {
	if err := d.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// endRaft ends the calling goroutine, which is one of Raft's: Raft would panic if the error were returned to it. The
// goroutine ends rather than blocks, because closing the node waits for it. While Raft is being started it runs in the
// goroutine of its caller, which recovers from the panic; endRaft then does nothing.
func (d *disk) endRaft() {
	if d.started.Load() {
		runtime.Goexit()
	}
}

// unreadable turns a library's read error into ErrDamaged. A nil error stays nil, and an error that says that the entry
// or value is missing stays as it is.
func (d *disk) unreadable(err error, what string, args ...any) error {
	if unlessMissing(err) == nil || errors.Is(err, raft.ErrLogNotFound) {
		return err
	}
	return fmt.Errorf("%w: %s: %s can't be read: %w", ErrDamaged, d.path, fmt.Sprintf(what, args...), err)
}

func (d *disk) changed(what string, args ...any) error {
	return fmt.Errorf("%w: %s: %s is not as it was written", ErrDamaged, d.path, fmt.Sprintf(what, args...))
}

// FirstIndex is the index of the oldest entry, 0 when there is none.
func (d *disk) FirstIndex() (uint64, error) {
	index, err := d.files.FirstIndex()
	return index, d.unreadable(err, "the first index")
}

// LastIndex is the index of the newest entry, 0 when there is none.
func (d *disk) LastIndex() (uint64, error) {
	index, err := d.files.LastIndex()
	return index, d.unreadable(err, "the last index")
}

// head encodes the fields of an entry that matter to Raft, without its data. AppendedAt does not matter.
func head(e *raft.Log) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 17), e.Index)
	b = binary.BigEndian.AppendUint64(b, e.Term)
	return append(b, byte(e.Type))
}

// StoreLogs stores entries and syncs them. It stores copies with checksums and leaves es unchanged: Raft keeps these
// entries and sends them to other nodes.
func (d *disk) StoreLogs(es []*raft.Log) error {
	summed := make([]raft.Log, len(es))
	pointers := make([]*raft.Log, len(es))
	bytes := 0
	for i, e := range es {
		summed[i], pointers[i] = *e, &summed[i]
		summed[i].Extensions = sum.Append(slices.Clip(e.Extensions), head(e), e.Data)
		bytes += len(e.Data)
	}
	return d.timed(bytes, func() error { return d.files.StoreLogs(pointers) })
}

// DeleteRange deletes entries.
func (d *disk) DeleteRange(first, last uint64) error { return d.files.DeleteRange(first, last) }

// GetLog reads an entry. A damaged entry ends the node, because a leader would send the damage to others.
func (d *disk) GetLog(index uint64, e *raft.Log) error {
	err := d.read(index, e)
	if errors.Is(err, ErrDisk) {
		d.breaks(err)
		d.endRaft()
	}
	return err
}

// read reads an entry. The error is raft.ErrLogNotFound when the entry is missing, and otherwise ErrDamaged. The entry
// is read into a fresh raft.Log, since raft-boltdb would overwrite the bytes of e, which may belong to an entry that is
// still in use.
func (d *disk) read(index uint64, e *raft.Log) error {
	var found raft.Log
	if err := d.files.GetLog(index, &found); err != nil {
		return d.unreadable(err, "log entry %d", index)
	}
	extensions, ok := sum.Cut(found.Extensions, head(&found), found.Data)
	if !ok || found.Index != index {
		return d.changed("log entry %d", index)
	}
	found.Extensions = extensions
	*e = found
	return nil
}

// Set stores a value and syncs it.
func (d *disk) Set(key, value []byte) error {
	return d.timed(0, func() error { return d.files.Set(key, sum.Append(slices.Clip(value), key)) })
}

// Get reads a value. For a missing key it returns what the library returns: nil, or raftboltdb.ErrKeyNotFound. Any
// other error is ErrDamaged.
func (d *disk) Get(key []byte) ([]byte, error) {
	v, err := d.files.Get(key)
	if err != nil || v == nil {
		return nil, d.unreadable(err, "the %s beside the log", key)
	}
	value, ok := sum.Cut(v, key)
	if !ok {
		return nil, d.changed("the %s beside the log", key)
	}
	return value, nil
}

// SetUint64 stores a number and syncs it.
func (d *disk) SetUint64(key []byte, value uint64) error {
	return d.Set(key, binary.BigEndian.AppendUint64(nil, value))
}

// term is the node's current term, 0 when none was stored.
func (d *disk) term() (uint64, error) {
	n, err := d.GetUint64([]byte("CurrentTerm"))
	return n, unlessMissing(err)
}

// unlessMissing drops the error for a missing key.
func unlessMissing(err error) error {
	if errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return nil
	}
	return err
}

// GetUint64 reads a number.
func (d *disk) GetUint64(key []byte) (uint64, error) {
	v, err := d.Get(key)
	switch {
	case err != nil || v == nil:
		return 0, err
	case len(v) != 8:
		return 0, d.changed("the %s beside the log", key)
	}
	return binary.BigEndian.Uint64(v), nil
}
