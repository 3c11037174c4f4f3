package snoop

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/distcache/distcache/wire"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rules(response bool) wire.Rules {
	if response {
		return wire.Responses
	}
	return wire.Requests
}

// found is what a decoder found in the bytes of one direction.
type found struct {
	messages []message
	fault    *fault
	lost     int64
}

// decode feeds a decoder in pieces of the sizes that next returns, and then ends the direction.
func decode(response bool, keep int, b []byte, next func() int) found {
	d := newDecoder(rules(response), keep)
	var f found
	for len(b) > 0 {
		n := min(len(b), next())
		d.feed(b[:n:n], func(m *message) error {
			copied := *m
			copied.payload = bytes.Clone(m.payload)
			f.messages = append(f.messages, copied)
			return nil
		})
		b = b[n:]
	}
	d.end()
	f.fault, f.lost = d.fault, d.lost()
	return f
}

func byteByByte() int { return 1 }
func atOnce() int     { return 1 << 30 }

// conversation is a row of messages of all sizes that matter.
func conversation(response bool) (b []byte, want []message) {
	sizes := []int{0, 1, 8, 72, 73, 2047, 2048, 2049, 4096, 30000, wire.MaxPayload - 1, wire.MaxPayload, 5}
	for i, size := range sizes {
		m := wire.Message{Response: response, UID: uint32(i) << 20, Op: wire.Op(i % wire.UserOps),
			Payload: bytes.Repeat([]byte{byte(i)}, size)}
		start := int64(len(b))
		b = wire.AppendMessage(b, &m)
		want = append(want, message{
			Header: wire.Header{UID: m.UID, Op: m.Op}, payload: m.Payload, size: size, start: start, end: int64(len(b)),
		})
	}
	return b, want
}

func TestDecoderInPieces(t *testing.T) {
	for _, response := range []bool{false, true} {
		b, want := conversation(response)
		random := rand.New(rand.NewPCG(1, 2))
		for name, next := range map[string]func() int{
			"at once":        atOnce,
			"byte by byte":   byteByByte,
			"random, small":  func() int { return 1 + random.IntN(30) },
			"random, frames": func() int { return 1 + random.IntN(4000) },
		} {
			got := decode(response, wire.MaxPayload, b, next)
			if got.fault != nil || got.lost != 0 || len(got.messages) != len(want) {
				t.Fatalf("%s: %d messages of %d, %v", name, len(got.messages), len(want), got.fault)
			}
			for i, m := range got.messages {
				if m.UID != want[i].UID || m.Op != want[i].Op || m.size != want[i].size || m.start != want[i].start ||
					m.end != want[i].end || !bytes.Equal(m.payload, want[i].payload) {
					t.Errorf("%s: message %d differs", name, i)
				}
			}
		}
	}
}

func TestDecoderKeepsLittle(t *testing.T) {
	b, _ := conversation(false)
	for _, m := range decode(false, 72, b, byteByByte).messages {
		if want := min(m.size, 72); len(m.payload) != want || cap(m.payload) > 4*72 {
			t.Errorf("of a payload of %d, %d are kept in %d", m.size, len(m.payload), cap(m.payload))
		}
	}
}

func TestDecoderFaults(t *testing.T) {
	const (
		good = "00110000 00 00000002 00 01 01 0002 3031" // 16 bytes
		part = "00110000 00 00000007 00 00 00 0800"
	)
	whole := part + strings.Repeat("aa", wire.MaxFrameData)
	tests := []struct {
		name, hex string
		at        int64
		rule      error
		lost      int64
	}{
		{"another protocol", "47455420", 0, wire.ErrVersion, 4},
		{"second byte of version", "0012", 1, wire.ErrVersion, 2},
		{"after a message", good + "ff00", 16, wire.ErrVersion, 2},
		{"response as request", "00110000 01 0000", 4, wire.ErrDirection, 7},
		{"class", "00110000 00 00000001 01", 9, wire.ErrClass, 10},
		{"operation", good + "00110000 00 00000001 00 04 01", 26, wire.ErrOperation, 12},
		{"complete", "00110000 00 00000001 00 00 02", 11, wire.ErrComplete, 12},
		{"length", "00110000 00 00000001 00 00 01 09", 12, wire.ErrFrameLen, 13},
		{"length by one", "00110000 00 00000001 00 00 01 0801", 13, wire.ErrFrameLen, 14},
		{"short", "00110000 00 00000001 00 00 00 07ff", 12, wire.ErrShort, 14},
		{"another uid", whole + "00110000 00 00000008", 2062 + 8, wire.ErrMixed, 2062 + 9},
		{"another operation", whole + "00110000 00 00000007 00 01", 2062 + 10, wire.ErrMixed, 2062 + 11},
		{"too long, last", strings.Repeat(whole, 15) + "00110000 00 00000007 00 00 00", 15*2062 + 11,
			wire.ErrTooLong, 15*2062 + 12},
		{"cut in the header", good + "0011", 18, wire.ErrTruncated, 2},
		{"cut in the data", "00110000 00 00000002 00 01 01 0002 30", 15, wire.ErrTruncated, 15},
		{"cut between frames", whole, 2062, wire.ErrTruncated, 2062},
	}
	for _, test := range tests {
		for name, next := range map[string]func() int{"at once": atOnce, "byte by byte": byteByByte} {
			got := decode(false, 72, unhex(t, test.hex), next)
			if want := (&fault{test.at, test.rule}); !reflect.DeepEqual(got.fault, want) || got.lost != test.lost {
				t.Errorf("%s, %s: got %+v and %d lost, want %+v and %d",
					test.name, name, got.fault, got.lost, want, test.lost)
			}
		}
	}
}

// The error for a connection with TLS says that it is TLS.
func TestTLSIsCalledThat(t *testing.T) {
	got := decode(false, 72, []byte{0x16, 3, 1, 2, 0, 1}, func() int { return 100 })
	if got.fault == nil || !errors.Is(got.fault.rule, wire.ErrCorrupt) ||
		!strings.Contains(got.fault.rule.Error(), "this is TLS") {
		t.Errorf("fault %+v", got.fault)
	}
}

// FuzzDecoder compares the decoder with the reader that servers and clients use.
func FuzzDecoder(f *testing.F) {
	for _, response := range []bool{false, true} {
		var b []byte
		for uid, size := range []int{0, 1, 20, 2049} {
			m := wire.Message{Response: response, UID: uint32(uid), Op: wire.Op(uid), Payload: make([]byte, size)}
			b = wire.AppendMessage(b, &m)
		}
		f.Add(b, response, uint64(1))
		f.Add(b[:60], response, uint64(2))
		f.Add(append(b[:40:40], b[10:]...), response, uint64(3))
	}
	f.Fuzz(func(t *testing.T, b []byte, response bool, seed uint64) {
		r := wire.NewReader(bytes.NewReader(b), rules(response))
		var want []wire.Message
		var rule error
		for rule == nil {
			var m wire.Message
			if rule = r.Read(&m); rule == nil {
				want = append(want, m)
			}
		}
		random := rand.New(rand.NewPCG(seed, 0))
		got := decode(response, wire.MaxPayload, b, func() int { return 1 + random.IntN(3000) })
		if len(got.messages) != len(want) {
			t.Fatalf("%d messages, want %d", len(got.messages), len(want))
		}
		for i, m := range got.messages {
			w := want[i]
			if m.UID != w.UID || m.Op != w.Op || m.size != len(w.Payload) || !bytes.Equal(m.payload, w.Payload) {
				t.Errorf("message %d differs", i)
			}
		}
		switch {
		case rule == io.EOF && got.fault != nil,
			rule != io.EOF && (got.fault == nil || !errors.Is(got.fault.rule, rule)):
			t.Errorf("fault is %+v, want %v", got.fault, rule)
		case got.fault != nil && (got.fault.offset < 0 || got.fault.offset > int64(len(b)) || got.lost > int64(len(b))):
			t.Errorf("fault is at %d and %d lost, of %d", got.fault.offset, got.lost, len(b))
		}
	})
}
