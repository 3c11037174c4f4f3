package state

import "github.com/distcache/distcache/wire"

// A builder puts the sessions of a file into an index while the file is read on: each takes about as long as the other.
// They go in in the order in which they were added.
type builder struct {
	index *index
	batch []found
	full  chan []found
	empty chan []found
	twice chan bool // at the end: some id was there before
}

// A found is a session in the file.
type found struct {
	expiry, seq uint64
	idLen       uint8
	id          [wire.MaxID]byte
}

const (
	buildBatch   = 1024 // sessions
	buildBatches = 4
)

// startBuilder starts one, which has the index to itself until end has returned.
func startBuilder(x *index) *builder {
	b := &builder{index: x, full: make(chan []found, buildBatches), empty: make(chan []found, buildBatches), twice: make(chan bool, 1)}
	for range buildBatches {
		b.empty <- make([]found, 0, buildBatch)
	}
	b.batch = <-b.empty
	go b.run()
	return b
}

func (b *builder) run() {
	twice := false
	for batch := range b.full {
		for i := range batch {
			f := &batch[i]
			if !b.index.add(f.id[:f.idLen], f.expiry, f.seq, onDisk) {
				twice = true
			}
		}
		b.empty <- batch[:0]
	}
	b.twice <- twice
}

// add has a session put into the index. The id is the caller's again when it returns.
func (b *builder) add(id []byte, expiry, seq uint64) {
	if len(b.batch) == cap(b.batch) {
		b.full <- b.batch
		b.batch = <-b.empty
	}
	b.batch = append(b.batch, found{expiry: expiry, seq: seq, idLen: uint8(len(id))})
	copy(b.batch[len(b.batch)-1].id[:], id)
}

// end waits until all that was added is in the index. It tells whether there was an id that had been there before; the
// second session of that id is not in it.
func (b *builder) end() (twice bool) {
	b.full <- b.batch
	close(b.full)
	return <-b.twice
}
