package main

import (
	crand "crypto/rand"
	"math/rand/v2"
)

// idLen is the length of an id, that of a TLS session id.
const idLen = 32

// textLen is how much random text there is for data to be pieces of.
const textLen = 1 << 20

// A session is what is stored.
type session struct{ id, data []byte }

// A maker makes sessions like no others, for one caller. Data are pieces of a random text that makers share: making them
// costs the load next to nothing. They must not be written to.
type maker struct {
	random *rand.ChaCha8
	pick   *rand.Rand
	text   []byte
	size   int
}

// newText makes what data are pieces of.
func newText(size int) []byte {
	text := make([]byte, textLen+size)
	_, _ = newRandom().Read(text)
	return text
}

func newRandom() *rand.ChaCha8 {
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // never fails
	return rand.NewChaCha8(seed)
}

func newMaker(text []byte) *maker {
	r := newRandom()
	return &maker{random: r, pick: rand.New(r), text: text, size: len(text) - textLen}
}

func (m *maker) session() session {
	id := make([]byte, idLen)
	_, _ = m.random.Read(id)
	start := m.pick.IntN(textLen)
	return session{id, m.text[start : start+m.size : start+m.size]}
}
