package loadtest

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"

	"github.com/distcache/distcache/wire"
)

// idLen is the length of all ids: that of a TLS session id.
const idLen = 32

// A corpus makes sessions of numbers. The id and the data of a session follow from its number and the corpus's seed, so
// no session need be remembered. Data are pieces of one random text, and must not be written to.
type corpus struct {
	seed     uint64
	min, max int
	text     []byte
}

// newCorpus makes a corpus with a random seed, for data of min to max bytes.
func newCorpus(min, max int) (*corpus, error) {
	if min < 1 || max < min || max > wire.MaxAddData {
		return nil, fmt.Errorf("data sizes %d to %d: they must be from 1 to %d, and in that order",
			min, max, wire.MaxAddData)
	}
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails
	c := &corpus{seed: binary.BigEndian.Uint64(seed[:]), min: min, max: max, text: make([]byte, 64<<10+max)}
	_, _ = mathrand.NewChaCha8(seed).Read(c.text)
	for i, b := range c.text {
		if b < 3 {
			c.text[i] = 3 // smaller bytes, as an answer of one byte, are a status
		}
	}
	return c, nil
}

// id appends the id of session n.
func (c *corpus) id(dst []byte, n uint64) []byte {
	for i := range uint64(idLen / 8) {
		dst = binary.BigEndian.AppendUint64(dst, mix(c.seed^mix(n*4+i)))
	}
	return dst
}

// data is the data of session n.
func (c *corpus) data(n uint64) []byte {
	r := mix(c.seed + mix(n))
	start := int(r >> 48)
	size := c.min + int((r&0xffffffff)*uint64(c.max-c.min+1)>>32)
	return c.text[start : start+size]
}

// mix is the mixing function of splitmix64: every bit of x affects every bit of the result.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// shortID is the form of an id in reports.
func shortID(id []byte) string {
	if len(id) > 4 {
		return hex.EncodeToString(id[:4]) + "…"
	}
	return hex.EncodeToString(id)
}

// differ says how got differs from want, without showing either; "" if it does not.
func differ(got, want []byte) string {
	n := min(len(got), len(want))
	for i := range n {
		if got[i] != want[i] {
			return fmt.Sprintf("%d bytes, other than they should be from byte %d on", len(got), i)
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d bytes instead of %d, right as far as they go", len(got), len(want))
	}
	return ""
}
