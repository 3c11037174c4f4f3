package state

import "container/heap"

// A place is where a session's data are.
type place uint8

const (
	inMemory place = iota // not in the file, and no flush has begun to write it
	flushing              // a flush is writing it
	onDisk                // in the file
	gone                  // removed from the index
)

// A session is one entry of the index.
type session struct {
	id     string
	expiry uint64  // ms since 1970
	seq    uint64  // which successful ADD made it, counted over the cluster's life
	data   *[]byte // nil once on disk
	pos    int32   // in the heap
	place  place
}

func (s *session) before(o *session) bool {
	return s.expiry < o.expiry || s.expiry == o.expiry && s.seq < o.seq
}

// An index finds sessions by id, and the one that expires next.
type index struct {
	byID  map[string]*session
	order order
}

func newIndex() *index { return &index{byID: make(map[string]*session)} }

func (x *index) len() int { return len(x.order) }

func (x *index) find(id []byte) *session { return x.byID[string(id)] }

func (x *index) insert(s *session) {
	x.byID[s.id] = s
	heap.Push(&x.order, s)
}

func (x *index) remove(s *session) {
	delete(x.byID, s.id)
	heap.Remove(&x.order, int(s.pos))
}

// next is the session that expires first, or nil.
func (x *index) next() *session {
	if len(x.order) == 0 {
		return nil
	}
	return x.order[0]
}

// order is a heap on (expiry, seq).
type order []*session

func (o order) Len() int           { return len(o) }
func (o order) Less(i, j int) bool { return o[i].before(o[j]) }
func (o order) Swap(i, j int) {
	o[i], o[j] = o[j], o[i]
	o[i].pos, o[j].pos = int32(i), int32(j)
}

func (o *order) Push(x any) {
	s := x.(*session)
	s.pos = int32(len(*o))
	*o = append(*o, s)
}

func (o *order) Pop() any {
	old := *o
	n := len(old) - 1
	s := old[n]
	old[n] = nil
	*o = old[:n]
	return s
}
