package state

import "github.com/distcache/distcache/wire"

// A builder adds the sessions of a file to an index in a goroutine of its own, while the file is being read. Reading
// and indexing take about the same time. The builder keeps the order of the sessions.
type builder struct {
	index *index
	batch []found
	full  chan []found
	empty chan []found
	twice chan bool // sent at the end: whether two sessions had the same id
}

// A found is a session in the file.
type found struct {
	expiry, seq uint64
	sealed      bool
	idLen       uint8
	id          [wire.MaxID]byte
}

const (
	buildBatch   = 1024 // sessions
	buildBatches = 4
)

// startBuilder starts a builder. Nobody else may use the index until end has returned.
func startBuilder(x *index) *builder {
	b := &builder{index: x, twice: make(chan bool, 1),
		full: make(chan []found, buildBatches), empty: make(chan []found, buildBatches)}
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
			if !b.index.add(f.id[:f.idLen], f.expiry, f.seq, onDisk, f.sealed) {
				twice = true
			}
		}
		b.empty <- batch[:0]
	}
	b.twice <- twice
}

// add passes a session to the builder. The caller may reuse id when add returns.
func (b *builder) add(id []byte, expiry, seq uint64, sealed bool) {
	if len(b.batch) == cap(b.batch) {
		b.full <- b.batch
		b.batch = <-b.empty
	}
	b.batch = append(b.batch, found{expiry: expiry, seq: seq, sealed: sealed, idLen: uint8(len(id))})
	copy(b.batch[len(b.batch)-1].id[:], id)
}

// end waits until all sessions are in the index. It tells whether two sessions had the same id; the index has only the
// first of them.
func (b *builder) end() (twice bool) {
	b.full <- b.batch
	close(b.full)
	return <-b.twice
}
