package boltfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The layout of the other pages. A page has a header of id (u64), flags, count (u16 each) and overflow (u32), the
// number of pages that follow it and belong to it, then count elements of 16 bytes, then what these point to, by
// offsets from their own beginning. All integers are in the machine's order.
//
//	branch element   offset, key length (u32 each), page (u64)
//	leaf element     flags, offset, key length, value length (u32 each); flag 1: the value is a bucket
//	bucket           root page (u64, 0: a leaf page follows in the value itself), sequence (u64)
const (
	elementSize  = 16
	bucketSize   = 16
	branchFlag   = 1
	leafFlag     = 2
	freelistFlag = 16
	bucketFlag   = 1
	noFreelist   = 1<<64 - 1
)

// A walker follows a file's tree from its root and holds every page on the way against the rules.
type walker struct {
	file []byte
	page uint64
	n    uint64 // pages in the file
	seen []bool // pages that belong to the tree

	visit  Visit
	bucket []byte // whose pages are being looked at
}

// checkTree walks the tree below a meta record, and counts the pages in use. The file is as long as the record says.
func checkTree(f *os.File, m meta, visit Visit) (used int64, err error) {
	if visit == nil {
		visit = func(_, _, _ []byte) error { return nil }
	}
	w := walker{page: uint64(m.pageSize), n: m.pages, seen: make([]bool, m.pages), visit: visit}
	w.file, err = unix.Mmap(int(f.Fd()), 0, int(m.pages)*int(m.pageSize), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return 0, fmt.Errorf("map the file: %w", err)
	}
	defer func() { _ = unix.Munmap(w.file) }()
	populate(w.file)
	if err := w.freelist(m.freelist); err != nil {
		return 0, err
	}
	if err := w.walk(m.root, nil, nil); err != nil {
		return 0, err
	}
	used = 2 // the meta pages
	for _, seen := range w.seen {
		if seen {
			used++
		}
	}
	return used, nil
}

func damaged(page uint64, format string, args ...any) error {
	return fmt.Errorf("%w: page %d %s", ErrDamaged, page, fmt.Sprintf(format, args...))
}

// take finds a page with those that belong to it, and notes that it is in use.
func (w *walker) take(id uint64) ([]byte, error) {
	if id < 2 || id >= w.n {
		return nil, damaged(id, "is none of the %d in the file", w.n)
	}
	p := w.file[id*w.page:]
	if said := binary.NativeEndian.Uint64(p); said != id {
		return nil, damaged(id, "says it is page %d", said)
	}
	overflow := uint64(binary.NativeEndian.Uint32(p[12:]))
	if overflow >= w.n-id {
		return nil, damaged(id, "goes on beyond the end")
	}
	for i := id; i <= id+overflow; i++ {
		if w.seen[i] {
			return nil, damaged(i, "is used twice")
		}
		w.seen[i] = true
	}
	return p[:(overflow+1)*w.page], nil
}

// walk checks a page and all pages below it: keys must ascend, and be at least low and less than high. nil is no bound.
func (w *walker) walk(id uint64, low, high []byte) error {
	p, err := w.take(id)
	if err != nil {
		return err
	}
	if flags(p) == branchFlag {
		return w.branch(id, p, low, high)
	}
	return w.leaf(id, p, low, high)
}

func flags(p []byte) uint16 { return binary.NativeEndian.Uint16(p[8:]) }

// elements counts the page's elements, all of which are within it.
func elements(id uint64, p []byte) (n int, err error) {
	n = int(binary.NativeEndian.Uint16(p[10:]))
	if pageHeader+n*elementSize > len(p) {
		return 0, damaged(id, "has more elements than fit")
	}
	return n, nil
}

// part is what an element points to; false when that is not within the page.
func part(e []byte, offset uint64, length uint32) ([]byte, bool) {
	end := offset + uint64(length)
	if end > uint64(len(e)) {
		return nil, false
	}
	return e[offset:end:end], true
}

// checkKey holds a key against the one before it and the bounds.
func checkKey(id uint64, key, before, low, high []byte) error {
	switch {
	case len(key) == 0:
		return damaged(id, "has an empty key")
	case before != nil && bytes.Compare(before, key) >= 0,
		low != nil && bytes.Compare(low, key) > 0,
		high != nil && bytes.Compare(key, high) >= 0:
		return damaged(id, "has a key out of order")
	}
	return nil
}

func (w *walker) branch(id uint64, p, low, high []byte) error {
	n, err := elements(id, p)
	if err != nil {
		return err
	}
	if n == 0 {
		return damaged(id, "leads nowhere")
	}
	keys := make([][]byte, n+1)
	keys[n] = high
	var before []byte
	for i := range n {
		e := p[pageHeader+i*elementSize:]
		key, ok := part(e, uint64(binary.NativeEndian.Uint32(e)), binary.NativeEndian.Uint32(e[4:]))
		if !ok {
			return damaged(id, "has a key outside itself")
		}
		if err := checkKey(id, key, before, low, high); err != nil {
			return err
		}
		keys[i], before = key, key
	}
	for i := range n {
		child := binary.NativeEndian.Uint64(p[pageHeader+i*elementSize+8:])
		if err := w.walk(child, keys[i], keys[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) leaf(id uint64, p, low, high []byte) error {
	if flags(p) != leafFlag {
		return damaged(id, "is of no kind that belongs there (%#x)", flags(p))
	}
	n, err := elements(id, p)
	if err != nil {
		return err
	}
	var before []byte
	for i := range n {
		e := p[pageHeader+i*elementSize:]
		offset, ksize := binary.NativeEndian.Uint32(e[4:]), binary.NativeEndian.Uint32(e[8:])
		vsize := binary.NativeEndian.Uint32(e[12:])
		key, ok := part(e, uint64(offset), ksize)
		if !ok {
			return damaged(id, "has a key outside itself")
		}
		value, ok := part(e, uint64(offset)+uint64(ksize), vsize)
		if !ok {
			return damaged(id, "has a value outside itself")
		}
		if err := checkKey(id, key, before, low, high); err != nil {
			return err
		}
		before = key
		if err := w.element(id, binary.NativeEndian.Uint32(e), key, value); err != nil {
			return err
		}
	}
	return nil
}

// element looks at a value, which may be a bucket, in a leaf page.
func (w *walker) element(id uint64, flags uint32, key, value []byte) error {
	if flags&bucketFlag == 0 {
		return w.visit(w.bucket, key, value)
	}
	if err := w.visit(w.bucket, key, nil); err != nil {
		return err
	}
	if w.bucket == nil {
		w.bucket = key
		defer func() { w.bucket = nil }()
	}
	return w.inside(id, value)
}

// inside checks what is in a bucket, found in a leaf page.
func (w *walker) inside(id uint64, value []byte) error {
	if len(value) < bucketSize {
		return damaged(id, "has a bucket without a header")
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return w.walk(root, nil, nil)
	}
	inline := value[bucketSize:]
	if len(inline) < pageHeader {
		return damaged(id, "has a bucket without a page")
	}
	return w.leaf(id, inline, nil, nil)
}

// freelist checks the list of free pages, which our own files don't have.
func (w *walker) freelist(id uint64) error {
	if id == noFreelist {
		return nil
	}
	p, err := w.take(id)
	if err != nil {
		return err
	}
	if flags(p) != freelistFlag {
		return damaged(id, "is no list of free pages")
	}
	p = p[pageHeader:]
	n := uint64(binary.NativeEndian.Uint16(w.file[id*w.page+10:]))
	if n == 1<<16-1 { // the count did not fit, and comes first
		n = binary.NativeEndian.Uint64(p)
		p = p[8:]
	}
	if n > uint64(len(p))/8 {
		return damaged(id, "lists more free pages than fit")
	}
	for i := range n {
		if free := binary.NativeEndian.Uint64(p[8*i:]); free < 2 || free >= w.n {
			return damaged(id, "lists free pages that are none")
		}
	}
	return nil
}
