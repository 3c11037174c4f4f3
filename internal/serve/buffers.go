package serve

import "sync"

// Buffers grow as needed, and those that grew large are left to the garbage collector. Those of requests and of answers
// are kept apart: requests wait, hundreds on a connection, and count by what is in them, so most of a buffer's memory
// must be what its request takes.
const (
	smallBuffer   = 1 << 10
	largeRequests = 1 << 11
	largeAnswers  = 1 << 18
)

var requestBuffers, answerBuffers = sync.Pool{New: newBuffer}, sync.Pool{New: newBuffer}

func newBuffer() any {
	b := make([]byte, 0, smallBuffer)
	return &b
}

func getBuffer() *[]byte  { return requestBuffers.Get().(*[]byte) }
func getAnswers() *[]byte { return answerBuffers.Get().(*[]byte) }

func putBuffer(b *[]byte)  { put(&requestBuffers, b, largeRequests) }
func putAnswers(b *[]byte) { put(&answerBuffers, b, largeAnswers) }

func put(pool *sync.Pool, b *[]byte, most int) {
	if cap(*b) > most {
		return
	}
	*b = (*b)[:0]
	pool.Put(b)
}
