// Package linked has intrusive lists: elements hold their own links. Adding an element allocates nothing, and any
// element can be removed in constant time. Only one goroutine may use a list at a time.
package linked

// Links are embedded in a type to make it an element of a List. An element can be in one list at a time.
type Links[T any] struct{ prev, next *T }

// InList returns the element's links, for List.
func (l *Links[T]) InList() *Links[T] { return l }

// An Element is a pointer to a type that embeds Links.
type Element[T any] interface {
	*T
	InList() *Links[T]
}

// A List holds elements in the order in which they were pushed. The zero value is empty.
type List[T any, E Element[T]] struct{ first, last *T }

// First is the oldest element, nil when the list is empty.
func (l *List[T, E]) First() *T { return l.first }

// Next is the element that follows e, nil when e is the last. e must be in the list.
func (l *List[T, E]) Next(e *T) *T { return E(e).InList().next }

// Push adds an element, which must not be in a list, at the end.
func (l *List[T, E]) Push(e *T) {
	*E(e).InList() = Links[T]{prev: l.last}
	if l.last == nil {
		l.first = e
	} else {
		E(l.last).InList().next = e
	}
	l.last = e
}

// Remove removes an element, which must be in the list.
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
