// Package linked has lists whose elements hold their own links: to put one in takes no memory, and any of them leaves in the
// same time, however many there are. A list is not for several goroutines at once.
package linked

// Links make what embeds them an element of a List, of one at a time.
type Links[T any] struct{ prev, next *T }

// InList gives a List its element's links.
func (l *Links[T]) InList() *Links[T] { return l }

// An Element is a pointer to something that embeds Links.
type Element[T any] interface {
	*T
	InList() *Links[T]
}

// A List holds elements in the order in which they were pushed. The zero value is empty.
type List[T any, E Element[T]] struct{ first, last *T }

// First is the element that has been there longest, nil when there is none.
func (l *List[T, E]) First() *T { return l.first }

// Next is the element pushed after one that is in the list, nil when that is the last.
func (l *List[T, E]) Next(e *T) *T { return E(e).InList().next }

// Push puts an element that is in no list at the end.
func (l *List[T, E]) Push(e *T) {
	*E(e).InList() = Links[T]{prev: l.last}
	if l.last == nil {
		l.first = e
	} else {
		E(l.last).InList().next = e
	}
	l.last = e
}

// Remove takes out an element that is in the list.
func (l *List[T, E]) Remove(e *T) {
	at := E(e).InList()
	if at.prev == nil {
		l.first = at.next
	} else {
		E(at.prev).InList().next = at.next
	}
	if at.next == nil {
		l.last = at.prev
	} else {
		E(at.next).InList().prev = at.prev
	}
	*at = Links[T]{}
}
