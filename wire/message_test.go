package wire_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/distcache/distcache/wire"
)

// unhex decodes bytes in the notation of PROTOCOL.md.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
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

// readOne reads the only message in b.
func readOne(t testing.TB, b []byte, response bool) wire.Message {
	t.Helper()
	var m wire.Message
	r := wire.NewReader(bytes.NewReader(b), rules(response))
	if err := r.Read(&m); err != nil {
		t.Fatalf("reading %d bytes: %v", len(b), err)
	}
	if err := r.Wait(); err == nil {
		t.Fatal("bytes are left behind the message")
	}
	return m
}

// The examples of PROTOCOL.md are written, and read, as they stand there.
func TestExamples(t *testing.T) {
	const id = "0123456789abcdef"
	big := bytes.Repeat([]byte{0xa5}, 3000)
	for _, x := range []struct {
		name string
		hex  string
		msg  wire.Message
	}{
		{
			"ADD", "00110000 00 00000001 00 00 01 001d  0000ea60 00000010 30313233343536373839616263646566 68656c6c6f",
			wire.Message{UID: 1, Op: wire.OpAdd, Payload: wire.AppendAdd(nil, []byte(id), []byte("hello"), 60e9)},
		},
		{
			"OK", "00110000 01 00000001 00 00 01 0001  00",
			wire.Message{Response: true, UID: 1, Op: wire.OpAdd, Payload: []byte{byte(wire.OK)}},
		},
		{
			"MATCHING_SESSION", "00110000 01 00000001 00 00 01 0001  65",
			wire.Message{Response: true, UID: 1, Op: wire.OpAdd, Payload: []byte{byte(wire.MatchingSession)}},
		},
		{
			"GET", "00110000 00 00000002 00 01 01 0010  30313233343536373839616263646566",
			wire.Message{UID: 2, Op: wire.OpGet, Payload: []byte(id)},
		},
		{
			"hit", "00110000 01 00000002 00 01 01 0005  68656c6c6f",
			wire.Message{Response: true, UID: 2, Op: wire.OpGet, Payload: []byte("hello")},
		},
		{
			"miss", "00110000 01 00000002 00 01 01 0001  01",
			wire.Message{Response: true, UID: 2, Op: wire.OpGet, Payload: []byte{byte(wire.NotOK)}},
		},
		{
			"two frames", "00110000 01 00000003 00 01 00 0800" + strings.Repeat("a5", 2048) +
				"00110000 01 00000003 00 01 01 03b8" + strings.Repeat("a5", 952),
			wire.Message{Response: true, UID: 3, Op: wire.OpGet, Payload: big},
		},
	} {
		t.Run(x.name, func(t *testing.T) {
			want := unhex(t, x.hex)
			if got := wire.AppendMessage(nil, &x.msg); !bytes.Equal(got, want) {
				t.Errorf("written %x, want %x", got, want)
			}
			if n := wire.Size(len(x.msg.Payload)); n != len(want) {
				t.Errorf("Size says %d bytes, it is %d", n, len(want))
			}
			if got := readOne(t, want, x.msg.Response); !equal(&got, &x.msg) {
				t.Errorf("read %+v, want %+v", got, x.msg)
			}
		})
	}
}

func equal(a, b *wire.Message) bool {
	return a.Response == b.Response && a.UID == b.UID && a.Class == b.Class && a.Op == b.Op &&
		bytes.Equal(a.Payload, b.Payload)
}

func TestSizes(t *testing.T) {
	for _, x := range []struct{ size, frames int }{
		{0, 1}, {1, 1}, {2047, 1}, {2048, 1}, {2049, 2}, {4096, 2}, {4097, 3}, {30720, 15}, {32768, 16},
	} {
		payload := make([]byte, x.size)
		for i := range payload {
			payload[i] = byte(i * 7)
		}
		m := wire.Message{UID: 0xfffffffe, Op: wire.OpHave, Payload: payload}
		b := wire.AppendMessage([]byte("before"), &m)[len("before"):]
		if want := x.size + x.frames*wire.HeaderSize; len(b) != want || wire.Size(x.size) != want {
			t.Errorf("%d bytes: written as %d, Size %d, want %d", x.size, len(b), wire.Size(x.size), want)
		}
		if got := readOne(t, b, false); !equal(&got, &m) {
			t.Errorf("%d bytes come back as %d", x.size, len(got.Payload))
		}
	}
}

// Any patch level and any uid are legal.
func TestPatchLevel(t *testing.T) {
	b := unhex(t, "0011beef 00 ffffffff 00 03 01 0001  78")
	if m := readOne(t, b, false); m.UID != 0xffffffff || m.Op != wire.OpHave {
		t.Errorf("%+v", m)
	}
}

// A writer may emit more frames than needed.
func TestEmptyLastFrame(t *testing.T) {
	b := unhex(t, "00110000 00 00000001 00 01 00 0800"+strings.Repeat("00", 2048)+"00110000 00 00000001 00 01 01 0000")
	if m := readOne(t, b, false); len(m.Payload) != 2048 {
		t.Errorf("%d bytes", len(m.Payload))
	}
}

func TestFrameBytes(t *testing.T) {
	b := wire.AppendMessage(nil, &wire.Message{
		Response: true, UID: 0x01020304, Class: wire.ClassPeer, Op: wire.OpRemove, Payload: make([]byte, 2049),
	})
	first, second := b[:wire.HeaderSize], b[wire.HeaderSize+2048:]
	if want := unhex(t, "00110000 01 01020304 70 02 00 0800"); !bytes.Equal(first, want) {
		t.Errorf("first header %x, want %x", first, want)
	}
	if want := unhex(t, "00110000 01 01020304 70 02 01 0001 00"); !bytes.Equal(second, want) {
		t.Errorf("second frame %x, want %x", second, want)
	}
	if n := binary.BigEndian.Uint16(first[12:]); n != wire.MaxFrameData {
		t.Error(n)
	}
}

func TestNames(t *testing.T) {
	for op, want := range map[wire.Op]string{0: "ADD", 1: "GET", 2: "REMOVE", 3: "HAVE", 4: "UNKNOWN"} {
		if op.String() != want {
			t.Errorf("op %d is %s, want %s", op, op, want)
		}
	}
	for s, want := range map[wire.Status]string{
		0: "OK", 1: "NOTOK", 2: "DISCONNECTED", 100: "CORRUPT", 101: "MATCHING_SESSION", 102: "TIMEOUT_RANGE",
		103: "ID_RANGE", 104: "DATA_RANGE", 77: "STATUS_77",
	} {
		if s.Name() != want {
			t.Errorf("status %d is %s, want %s", s, s.Name(), want)
		}
		if s.Error() == "" || (s.Err() == nil) != (s == wire.OK) {
			t.Errorf("status %d: Error %q, Err %v", s, s.Error(), s.Err())
		}
	}
}
