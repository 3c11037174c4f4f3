package wire_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/distcache/distcache/wire"
)

// full is the header of a full frame that is not the last of its message: ADD with uid 1.
const full = "00110000 00 00000001 00 00 00 0800"

func fullFrame() string { return full + strings.Repeat("00", 2048) }

// feed gives b to a Reader byte by byte. It returns the Reader's first error, and how many bytes it took until then.
func feed(t *testing.T, b []byte, rules wire.Rules) (int, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	taken := make(chan int)
	go func() {
		n := 0
		defer func() { taken <- n }()
		defer theirs.Close()
		for ; n < len(b); n++ {
			if _, err := theirs.Write(b[n : n+1]); err != nil {
				return
			}
		}
	}()
	r := wire.NewReader(ours, rules)
	var err error
	for m := (wire.Message{}); err == nil; {
		err = r.Read(&m)
	}
	ours.Close()
	return <-taken, err
}

// Each rule is enforced at the very byte that breaks it: the Reader takes no more bytes.
func TestRules(t *testing.T) {
	const rest = "ffffffffffffffffffffffffffffffff"
	sixteen := strings.Repeat(fullFrame(), 15)
	frame := wire.HeaderSize + wire.MaxFrameData
	for _, x := range []struct {
		name string
		hex  string
		err  error
		at   int // bytes taken
	}{
		{"version, first byte", "01" + rest, wire.ErrVersion, 1},
		{"version, second byte", "0010" + rest, wire.ErrVersion, 2},
		{"another protocol", "474554202f20485454502f312e310d0a", wire.ErrVersion, 1},
		{"response", "00110000 01" + rest, wire.ErrDirection, 5},
		{"direction of 2", "0011ffff 02" + rest, wire.ErrDirection, 5},
		{"class", "00110000 00 ffffffff 01" + rest, wire.ErrClass, 10},
		{"peer class", "00110000 00 ffffffff 70" + rest, wire.ErrClass, 10},
		{"operation", "00110000 00 ffffffff 00 04" + rest, wire.ErrOperation, 11},
		{"complete", "00110000 00 ffffffff 00 03 02" + rest, wire.ErrComplete, 12},
		{"length, high byte", "00110000 00 ffffffff 00 03 01 09" + rest, wire.ErrFrameLen, 13},
		{"length of 2049", "00110000 00 ffffffff 00 03 01 0801" + rest, wire.ErrFrameLen, 14},
		{"incomplete and 2047", "00110000 00 ffffffff 00 03 00 07ff" + rest, wire.ErrShort, 13},
		{"incomplete and empty", "00110000 00 ffffffff 00 03 00 0000" + rest, wire.ErrShort, 13},
		{"incomplete and 2049", "00110000 00 ffffffff 00 03 00 0801" + rest, wire.ErrFrameLen, 14},
		{"another uid", fullFrame() + "00110000 00 00000100" + rest, wire.ErrMixed, frame + 8},
		{"another operation", fullFrame() + "00110000 00 00000001 00 01" + rest, wire.ErrMixed, frame + 11},
		{"a bad second frame", fullFrame() + "00120000" + rest, wire.ErrVersion, frame + 2},
		{"a 17th frame", sixteen + full + rest, wire.ErrTooLong, 15*frame + 12},
		{"after a good message", "00110000 00 00000001 00 01 01 0001 78" + "02" + rest, wire.ErrVersion, 16},
		{"end in a header", "00110000 00 0000", wire.ErrTruncated, 7},
		{"end in the data", "00110000 00 00000001 00 01 01 0002 78", wire.ErrTruncated, 15},
		{"end between frames", fullFrame(), wire.ErrTruncated, frame},
		{"end between messages", "00110000 00 00000001 00 01 01 0001 78", io.EOF, 15},
		{"nothing", "", io.EOF, 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			n, err := feed(t, unhex(t, x.hex), wire.Requests)
			if !errors.Is(err, x.err) || n != x.at {
				t.Errorf("%v after %d bytes, want %v after %d", err, n, x.err, x.at)
			}
			if corrupt := x.err != io.EOF; errors.Is(err, wire.ErrCorrupt) != corrupt {
				t.Errorf("%v: corruption should be %v", err, corrupt)
			}
		})
	}
	t.Run("request to a client", func(t *testing.T) {
		if n, err := feed(t, unhex(t, "00110000 00"+rest), wire.Responses); err != wire.ErrDirection || n != 5 {
			t.Errorf("%v after %d bytes", err, n)
		}
	})
}

// When the limit is no multiple of the frame size, a message over the limit is found when its last header is whole.
func TestOddLimit(t *testing.T) {
	rules := wire.Rules{Class: wire.ClassPeer, Ops: 9, MaxPayload: 5000}
	for size, want := range map[int]error{
		0: nil, 4096: nil, 5000: nil, 5001: wire.ErrTooLong, 6144: wire.ErrTooLong, 9000: wire.ErrTooLong,
	} {
		b := wire.AppendMessage(nil, &wire.Message{Class: wire.ClassPeer, Op: 8, Payload: make([]byte, size)})
		var m wire.Message
		if err := wire.NewReader(bytes.NewReader(b), rules).Read(&m); err != want {
			t.Errorf("%d bytes: %v, want %v", size, err, want)
		}
	}
}

func TestLongestMessage(t *testing.T) {
	for size, want := range map[int]error{wire.MaxPayload: nil, wire.MaxPayload + 1: wire.ErrTooLong} {
		b := wire.AppendMessage(nil, &wire.Message{Payload: make([]byte, size)})
		var m wire.Message
		r := wire.NewReader(iotest.OneByteReader(bytes.NewReader(b)), wire.Requests)
		if err := r.Read(&m); err != want {
			t.Errorf("%d bytes: %v, want %v", size, err, want)
		}
	}
}

// Errors of the connection are passed on. A deadline that passes between two messages does no harm.
func TestReadErrors(t *testing.T) {
	broken := errors.New("cable cut")
	src := io.MultiReader(bytes.NewReader([]byte{0, 0x11}), iotest.ErrReader(broken))
	var m wire.Message
	if err := wire.NewReader(src, wire.Requests).Read(&m); err != broken {
		t.Errorf("%v, want %v", err, broken)
	}

	b := wire.AppendMessage(nil, &wire.Message{UID: 5, Op: wire.OpGet, Payload: []byte("id")})
	r := wire.NewReader(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(b))), wire.Requests)
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := r.Read(&m); err != iotest.ErrTimeout {
		t.Fatalf("%v, want a timeout", err)
	}
	if err := r.Read(&m); err != nil || m.UID != 5 {
		t.Errorf("after the timeout: %v, %+v", err, m)
	}
}

func TestReady(t *testing.T) {
	b := wire.AppendMessage(nil, &wire.Message{Op: wire.OpGet, Payload: []byte("id")})
	for n := range len(b) + 2 {
		src := &pieces{append(slices.Clone(b), b...)[:n]}
		r := wire.NewReader(src, wire.Requests)
		if r.Ready() {
			t.Fatal("ready before anything was read")
		}
		if n == 0 {
			continue
		}
		if err := r.Wait(); err != nil {
			t.Fatal(err)
		}
		if want := n >= len(b); r.Ready() != want {
			t.Errorf("%d of %d bytes: ready is %v", n, len(b), !want)
		}
	}
	r := wire.NewReader(&pieces{unhex(t, fullFrame())}, wire.Requests)
	if err := r.Wait(); err != nil || r.Ready() {
		t.Errorf("%v; ready with the first of two frames", err)
	}
}

// pieces returns all it has in one read. Another read is an error.
type pieces struct{ b []byte }

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, errors.New("read past what is there")
	}
	n := copy(b, p.b)
	p.b = p.b[n:]
	return n, nil
}

// Nothing is allocated for data that has been claimed and has not come, and nothing at all when the caller's memory is
// enough.
func TestReaderAllocations(t *testing.T) {
	src := new(bytes.Reader)
	r := wire.NewReader(src, wire.Requests)
	claims := unhex(t, "00110000 00 00000001 00 00 01 0800")
	claims = append(claims, make([]byte, 2047)...)
	if n := testing.AllocsPerRun(100, func() {
		var m wire.Message
		src.Reset(claims)
		r.Reset(src)
		if err := r.Read(&m); err != wire.ErrTruncated {
			t.Fatal(err)
		}
		if cap(m.Payload) != 0 {
			t.Fatalf("%d bytes kept for a frame that never came", cap(m.Payload))
		}
	}); n != 0 {
		t.Errorf("%v allocations on a peer's word", n)
	}

	b := wire.AppendMessage(nil, &wire.Message{Op: wire.OpAdd, Payload: make([]byte, wire.MaxPayload)})
	var m wire.Message
	out := make([]byte, 0, len(b))
	if n := testing.AllocsPerRun(100, func() {
		src.Reset(b)
		r.Reset(src)
		if err := r.Read(&m); err != nil {
			t.Fatal(err)
		}
		out = wire.AppendMessage(out[:0], &m)
	}); n != 0 {
		t.Errorf("%v allocations for a message in memory that was there", n)
	}
	if !bytes.Equal(out, b) {
		t.Error("the message has changed on its way")
	}
}

func FuzzFrameHeader(f *testing.F) {
	for _, s := range []string{
		"00110000 00 00000001 00 00 01 001d", full,
		"00110000 01 00000001 00 00 01 0001", "00110000 00 00000001 00 04 01 0001",
		"00110000 00 00000001 00 00 00 0000", "00110000 00 00000001 00 00 01 0801", "00120000 00", "0011",
	} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b), wire.HeaderSize)]
		read := func(src io.Reader) error {
			var m wire.Message
			return wire.NewReader(src, wire.Requests).Read(&m)
		}
		whole, bytewise := read(bytes.NewReader(b)), read(iotest.OneByteReader(bytes.NewReader(b)))
		if whole != bytewise {
			t.Fatalf("%v at once, %v byte by byte", whole, bytewise)
		}
		good := len(b) == wire.HeaderSize && b[0] == 0 && b[1] == 0x11 && b[4] == 0 && b[9] == 0 && b[10] < 4 &&
			b[11] == 1 && b[12] == 0 && b[13] == 0
		switch {
		case good && whole != nil, !good && whole == nil:
			t.Fatalf("%x: %v", b, whole)
		case whole != nil && whole != io.EOF && !errors.Is(whole, wire.ErrCorrupt):
			t.Fatalf("%v is no corruption", whole)
		}
	})
}

// A message that is read without error means the same when it is written again. Parse and Reader read the same
// messages.
func FuzzReader(f *testing.F) {
	f.Add(unhex(f, "00110000 00 00000001 00 00 01 001d"+
		"0000ea60 00000010 30313233343536373839616263646566 68656c6c6f"), false)
	f.Add(unhex(f, "00110000 01 00000003 00 01 00 0800"+strings.Repeat("a5", 2048)+
		"00110000 01 00000003 00 01 01 03b8"+strings.Repeat("a5", 952)), true)
	f.Add(unhex(f, fullFrame()+"00110000 00 00000001 00 00 01 0000"), false)
	f.Add(unhex(f, strings.Repeat("00110000 00 00000002 00 02 01 0002 3031", 3)+"ff"), false)
	f.Add(wire.AppendMessage(nil, &wire.Message{Payload: make([]byte, wire.MaxPayload)}), false)
	f.Add(wire.AppendMessage(nil, &wire.Message{Payload: make([]byte, wire.MaxPayload+1)}), false)
	f.Fuzz(func(t *testing.T, b []byte, response bool) {
		r := wire.NewReader(bytes.NewReader(b), rules(response))
		rest := bytes.Clone(b)
		for taken := 0; ; {
			var m, parsed wire.Message
			err := r.Read(&m)
			n, parseErr := rules(response).Parse(&parsed, rest)
			switch {
			case err == nil && (parseErr != nil || !equal(&parsed, &m)):
				t.Fatalf("%+v is parsed as %+v, %v", m, parsed, parseErr)
			case (err == io.EOF || err == wire.ErrTruncated) && (n != 0 || parseErr != nil):
				t.Fatalf("a message that is not whole is parsed as %d bytes, %v", n, parseErr)
			case err != nil && err != io.EOF && err != wire.ErrTruncated && parseErr != err:
				t.Fatalf("parsing says %v, reading %v", parseErr, err)
			}
			rest = rest[n:]
			if err != nil {
				if err != io.EOF && !errors.Is(err, wire.ErrCorrupt) {
					t.Fatalf("%v is no corruption", err)
				}
				if err == io.EOF && taken > len(b) {
					t.Fatalf("%d bytes read of %d", taken, len(b))
				}
				return
			}
			if len(m.Payload) > wire.MaxPayload || m.Response != response || m.Class != wire.ClassUser ||
				m.Op >= wire.UserOps {
				t.Fatalf("%+v was let through", m)
			}
			taken += wire.Size(len(m.Payload))
			again := readOne(t, wire.AppendMessage(nil, &m), response)
			if !equal(&again, &m) {
				t.Fatalf("%+v comes back as %+v", m, again)
			}
		}
	})
}
