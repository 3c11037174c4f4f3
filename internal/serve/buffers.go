package serve

import "sync"

// Buffers grow as needed; those that grew large are left to the garbage collector. Requests and answers have separate
// pools. Hundreds of requests may wait on a connection, and MaxHeld counts the bytes in them, so a request's buffer
// must not be much larger than its request.
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
