package entry

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/distcache/distcache/raftstore/internal/seal"
	"github.com/distcache/distcache/wire"
)

func build(h Header, ops ...Op) []byte {
	b := Begin(nil)
	for i := range ops {
		b = AppendOp(b, &ops[i])
	}
	h.Count = len(ops)
	Seal(b, h)
	return b
}

// resum gives an entry the sum of what is in it now.
func resum(b []byte) []byte {
	if len(b) >= HeaderSize {
		binary.BigEndian.PutUint32(b[sumAt:], sumOf(b))
	}
	return b
}

// decode reads a whole entry, as the state machine does.
func decode(b []byte) (h Header, ops []Op, err error) {
	h, rest, err := ParseHeader(b)
	if err != nil {
		return h, nil, err
	}
	for range h.Count {
		var op Op
		if rest, err = NextOp(rest, &op); err != nil {
			return h, nil, err
		}
		ops = append(ops, op)
	}
	return h, ops, End(rest)
}

var samples = []Op{
	{Kind: Add, Identity: Identity{Origin: 1, Counter: 9, Low: 3}, Timeout: 60000, ID: []byte("id"), Data: []byte("data")},
	{Kind: Remove, Identity: Identity{Origin: 1<<64 - 1, Counter: 1<<64 - 1, Low: 1<<64 - 1},
		ID: bytes.Repeat([]byte{7}, wire.MaxID)},
	{Kind: Add, Identity: Identity{Origin: 3, Counter: 1<<32 - 1, Low: 0}, ID: []byte("n1"), Data: []byte("instance")},
	{Kind: Add, Identity: Identity{}, Timeout: 1<<32 - 1, ID: []byte{0}, Data: make([]byte, wire.MaxData)},
	{Kind: Session, Identity: Identity{Origin: 4}, ID: []byte{}},
	{Kind: Add, Timeout: 1, ID: []byte{1}, Data: make([]byte, wire.MaxData+seal.Overhead), Sealed: true},
}

func TestRoundTrip(t *testing.T) {
	want := Header{Stamp: 1<<64 - 2, Capacity: 1 << 63, Count: len(samples), Sealed: true}
	b := build(want, samples...)
	h, ops, err := decode(b)
	if err != nil || h != want || !reflect.DeepEqual(ops, samples) {
		t.Fatalf("%v, %v, %d operations", err, h, len(ops))
	}
	if got := build(h, ops...); !bytes.Equal(got, b) {
		t.Error("encoding what was decoded gives another entry")
	}
	h, ops, err = decode(build(Header{Stamp: 1}))
	if err != nil || h != (Header{Stamp: 1}) || len(ops) != 0 {
		t.Errorf("an empty batch: %v, %v, %d operations", err, h, len(ops))
	}
}

func TestSizeIsEnough(t *testing.T) {
	for _, op := range samples {
		if n := len(AppendOp(nil, &op)); n > Size(len(op.ID), len(op.Data)) {
			t.Errorf("kind %d takes %d bytes, Size says %d", op.Kind, n, Size(len(op.ID), len(op.Data)))
		}
	}
}

// A decoded operation must not be able to write over its neighbour.
func TestDecodedPartsAreCapped(t *testing.T) {
	b := build(Header{}, samples[0], samples[1])
	_, ops, err := decode(b)
	if err != nil {
		t.Fatal(err)
	}
	before := bytes.Clone(b)
	_ = append(ops[0].ID, 0xff)
	_ = append(ops[0].Data, 0xff)
	if !bytes.Equal(b, before) {
		t.Error("appending to a part changed the entry")
	}
}

func TestCutAnywhere(t *testing.T) {
	b := build(Header{Stamp: 5}, samples[0], samples[1], samples[2], samples[4])
	for n := range b {
		if _, _, err := decode(b[:n]); !errors.Is(err, ErrFormat) {
			t.Fatalf("cut at %d of %d: %v", n, len(b), err)
		}
	}
}

func TestMalformed(t *testing.T) {
	const at = HeaderSize // of the operation
	for name, change := range map[string]func(b []byte) []byte{
		"version 0":           func(b []byte) []byte { b[0] = 0; return b },
		"version 2":           func(b []byte) []byte { b[0] = 2; return b },
		"one operation more":  func(b []byte) []byte { b[20]++; return b },
		"one operation less":  func(b []byte) []byte { b[20]--; return b },
		"absurd count":        func(b []byte) []byte { b[17] = 0xff; return b },
		"count over the rest": func(b []byte) []byte { b[19] = 1; return b },
		"a byte too many":     func(b []byte) []byte { return append(b, 0) },
		"kind 0":              func(b []byte) []byte { b[at] = 0; return b },
		"kind 5":              func(b []byte) []byte { b[at] = 5; return b },
		"SESSION with an id":  func(b []byte) []byte { b[at] = 3; return b },
		"waits for too many":  func(b []byte) []byte { b[at+17] = 0xff; return b },
		"id of 0":             func(b []byte) []byte { b[at+21] = 0; return b },
		"id of 65":            func(b []byte) []byte { b[at+21] = 65; return b },
		"id over the rest":    func(b []byte) []byte { b[at+21] = 64; return b },
		"data of 0":           func(b []byte) []byte { copy(b[at+28:], []byte{0, 0, 0, 0}); return b },
		"data of 32769":       func(b []byte) []byte { copy(b[at+28:], []byte{0, 0, 0x80, 1}); return b },
		"data of 4 GiB":       func(b []byte) []byte { copy(b[at+28:], []byte{255, 255, 255, 255}); return b },
		"data over the rest":  func(b []byte) []byte { b[at+30] = 0x7f; return b },
	} {
		op := Op{Kind: Add, Identity: Identity{1, 2, 1}, Timeout: 1, ID: []byte("id"), Data: []byte("data")}
		b := resum(change(build(Header{}, op)))
		if _, _, err := decode(b); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
	// The count is what a decoder allocates by: it has to be held against the bytes that are there.
	b := build(Header{}, samples[0])
	b[18] = 1
	if h, _, err := ParseHeader(resum(b)); !errors.Is(err, ErrFormat) {
		t.Errorf("%d operations in %d bytes: %v", h.Count, len(b), err)
	}
}

// What a disk has changed is found, wherever that is.
func TestChangedBit(t *testing.T) {
	b := build(Header{Stamp: 5, Capacity: 6}, samples[0], samples[1])
	for bit := range 8 * len(b) {
		b[bit/8] ^= 1 << (bit % 8)
		if _, _, err := decode(b); !errors.Is(err, ErrFormat) || intact(b) {
			t.Errorf("bit %d of byte %d is changed: %v, intact: %v", bit%8, bit/8, err, intact(b))
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
	if !intact(b) || intact(b[:HeaderSize-1]) || intact(nil) {
		t.Errorf("intact: %v, a part of it: %v, nothing: %v", intact(b), intact(b[:HeaderSize-1]), intact(nil))
	}
}

// An origin that awaits more than fit into 32 bits is not believed to await fewer than it said.
func TestWaitingIsBounded(t *testing.T) {
	op := Op{Kind: Remove, Identity: Identity{Origin: 1, Counter: 1 << 40, Low: 1}, ID: []byte("id")}
	_, ops, err := decode(build(Header{}, op))
	if err != nil {
		t.Fatal(err)
	}
	if waits := ops[0].Counter - ops[0].Low; waits != 1<<32-1 {
		t.Errorf("awaits %d, want the most that can be said", waits)
	}
}

func FuzzEntry(f *testing.F) {
	f.Add(build(Header{Stamp: 1, Capacity: 2}, samples...))
	f.Add(build(Header{}))
	f.Add(build(Header{}, samples[1])[:30])
	r := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		b := build(Header{Stamp: r.Uint64()}, samples[0], samples[2])
		b[r.IntN(len(b))] ^= byte(1 << r.IntN(8))
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = resum(bytes.Clone(b))
		h, ops, err := decode(b)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		if again := build(h, ops...); !bytes.Equal(again, b) {
			t.Fatal("encoding what was decoded gives another entry")
		}
	})
}
