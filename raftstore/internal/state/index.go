package state

import (
	"bytes"
	"hash/maphash"
)

// A place is where a session's data are.
type place uint8

const (
	inMemory place = iota // not in the file, and no flush has begun to write it
	flushing              // a flush is writing it
	onDisk                // in the file
)

// shortID is how many bytes of an id are kept in its entry. TLS session ids are not longer.
const shortID = 32

// A session is one entry of the index. It has no pointers, so that a million of them are nothing to the garbage
// collector.
type session struct {
	expiry uint64 // ms since 1970
	seq    uint64 // which successful ADD made it, counted over the cluster's life, from 1; 0: the entry is free
	next   ref    // in its bucket, or the next free one
	pos    uint32 // in the order of expiry
	place  place
	sealed bool
	idLen  uint8
	id     [shortID]byte
}

func (s *session) before(o *session) bool {
	return s.expiry < o.expiry || s.expiry == o.expiry && s.seq < o.seq
}

// A ref is the number of an entry; 0 is none. Entries are reused: a ref means the same session only as long as the
// entry's seq is the same.
type ref uint32

const (
	chunkSize = 1 << 12 // entries
	shards    = 1 << 6  // of the table, so that growing one does not take long
)

// An index finds sessions by id, and the one that expires next.
type index struct {
	chunks []*[chunkSize]session
	used   ref            // entries ever given out
	free   ref            // the first of those that were given back
	long   map[ref]string // what ids have beyond shortID
	seed   maphash.Seed
	table  [shards]shard
	order  []ref // a heap on (expiry, seq)
}

// A shard has the sessions whose ids have a hash in common with its number.
type shard struct {
	buckets []ref // a power of two of them
	n       int
}

func newIndex() *index {
	x := &index{long: make(map[ref]string), seed: maphash.MakeSeed()}
	for i := range x.table {
		x.table[i].buckets = make([]ref, 8)
	}
	return x
}

func (x *index) len() int { return len(x.order) }

// at is the entry with a number.
func (x *index) at(r ref) *session { return &x.chunks[(r-1)/chunkSize][(r-1)%chunkSize] }

func (x *index) place(id []byte) (*shard, uint64) {
	h := maphash.Bytes(x.seed, id)
	return &x.table[h%shards], h / shards
}

func (s *shard) bucket(h uint64) *ref { return &s.buckets[h%uint64(len(s.buckets))] }

// find gives the session with that id, or 0.
func (x *index) find(id []byte) ref {
	s, h := x.place(id)
	return x.findAt(s, h, id)
}

func (x *index) findAt(s *shard, h uint64, id []byte) ref {
	for r := *s.bucket(h); r != 0; r = x.at(r).next {
		if x.hasID(r, id) {
			return r
		}
	}
	return 0
}

func (x *index) hasID(r ref, id []byte) bool {
	e := x.at(r)
	if int(e.idLen) != len(id) {
		return false
	}
	if len(id) <= shortID {
		return bytes.Equal(e.id[:len(id)], id)
	}
	return bytes.Equal(e.id[:], id[:shortID]) && x.long[r] == string(id[shortID:])
}

// appendID appends a session's id to dst.
func (x *index) appendID(dst []byte, r ref) []byte {
	e := x.at(r)
	dst = append(dst, e.id[:min(int(e.idLen), shortID)]...)
	return append(dst, x.long[r]...)
}

// insert adds a session whose id is not there.
func (x *index) insert(id []byte, expiry, seq uint64, p place, sealed bool) ref {
	s, h := x.place(id)
	return x.insertAt(s, h, id, expiry, seq, p, sealed)
}

// add adds a session unless its id is there.
func (x *index) add(id []byte, expiry, seq uint64, p place, sealed bool) bool {
	s, h := x.place(id)
	if x.findAt(s, h, id) != 0 {
		return false
	}
	x.insertAt(s, h, id, expiry, seq, p, sealed)
	return true
}

func (x *index) insertAt(s *shard, h uint64, id []byte, expiry, seq uint64, p place, sealed bool) ref {
	r := x.take()
	e := x.at(r)
	*e = session{expiry: expiry, seq: seq, place: p, sealed: sealed, idLen: uint8(len(id))}
	if n := copy(e.id[:], id); n < len(id) {
		x.long[r] = string(id[n:])
	}
	if s.n >= len(s.buckets) {
		x.grow(s)
	}
	s.n++
	b := s.bucket(h)
	e.next, *b = *b, r
	x.order = append(x.order, r)
	e.pos = uint32(len(x.order) - 1)
	x.up(len(x.order) - 1)
	return r
}

// take finds a free entry.
func (x *index) take() ref {
	if r := x.free; r != 0 {
		x.free = x.at(r).next
		return r
	}
	if int(x.used) == len(x.chunks)*chunkSize {
		x.chunks = append(x.chunks, new([chunkSize]session))
	}
	x.used++
	return x.used
}

// grow doubles a shard's buckets.
func (x *index) grow(s *shard) {
	old := s.buckets
	s.buckets = make([]ref, 2*len(old))
	var id []byte
	for _, r := range old {
		for r != 0 {
			e := x.at(r)
			next := e.next
			id = x.appendID(id[:0], r)
			b := s.bucket(maphash.Bytes(x.seed, id) / shards)
			e.next, *b = *b, r
			r = next
		}
	}
}

// remove takes a session out; its entry will be another's.
func (x *index) remove(r ref) {
	e := x.at(r)
	var buf [2 * shortID]byte
	s, h := x.place(x.appendID(buf[:0], r))
	p := s.bucket(h)
	for *p != r {
		p = &x.at(*p).next
	}
	*p = e.next
	s.n--
	if int(e.idLen) > shortID {
		delete(x.long, r)
	}
	i, last := int(e.pos), len(x.order)-1
	x.swap(i, last)
	x.order = x.order[:last]
	if i < last {
		x.down(i)
		x.up(i)
	}
	*e = session{next: x.free}
	x.free = r
}

// next is the session that expires first, or 0.
func (x *index) next() ref {
	if len(x.order) == 0 {
		return 0
	}
	return x.order[0]
}

func (x *index) less(i, j int) bool { return x.at(x.order[i]).before(x.at(x.order[j])) }

func (x *index) swap(i, j int) {
	x.order[i], x.order[j] = x.order[j], x.order[i]
	x.at(x.order[i]).pos, x.at(x.order[j]).pos = uint32(i), uint32(j)
}

func (x *index) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !x.less(i, parent) {
			return
		}
		x.swap(i, parent)
		i = parent
	}
}

func (x *index) down(i int) {
	for {
		first := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(x.order); child++ {
			if x.less(child, first) {
				first = child
			}
		}
		if first == i {
			return
		}
		x.swap(i, first)
		i = first
	}
}
