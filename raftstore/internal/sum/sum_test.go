package sum

import (
	"bytes"
	"testing"
)

// A bit that changes anywhere, also in what says where the value belongs, is noticed.
func TestCut(t *testing.T) {
	where, value := []byte("where"), []byte("value")
	summed := Append(bytes.Clone(value), where, nil, where)
	if len(summed) != len(value)+Size {
		t.Errorf("%d bytes", len(summed))
	}
	if got, ok := Cut(summed, where, where); !ok || !bytes.Equal(got, value) || cap(got) != len(value) {
		t.Errorf("%q, %v", got, ok)
	}
	whole := append(bytes.Clone(where), summed...)
	for bit := range 8 * len(whole) {
		changed := bytes.Clone(whole)
		changed[bit/8] ^= 1 << (bit % 8)
		if _, ok := Cut(changed[len(where):], changed[:len(where)], where); ok {
			t.Errorf("bit %d has changed", bit)
		}
	}
	for n := range len(summed) {
		if _, ok := Cut(summed[:n], where, where); ok {
			t.Errorf("%d bytes of %d are taken", n, len(summed))
		}
	}
}

// The sum is the well-known one of its kind.
func TestOf(t *testing.T) {
	if got := Of([]byte("1234"), nil, []byte("56789")); got != 0xe3069283 {
		t.Errorf("%08x", got)
	}
}
