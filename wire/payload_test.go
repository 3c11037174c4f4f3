package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/distcache/distcache/wire"
)

// addPayload is an ADD payload with the given fields.
func addPayload(timeout, idLen uint32, rest int) []byte {
	b := binary.BigEndian.AppendUint32(nil, timeout)
	b = binary.BigEndian.AppendUint32(b, idLen)
	return append(b, make([]byte, rest)...)
}

// The checks come in PROTOCOL.md's order: of two broken rules, the first is the answer.
func TestParseAddOrder(t *testing.T) {
	const week = 604800000
	for _, x := range []struct {
		name    string
		payload []byte
		want    error
	}{
		{"empty", nil, wire.ErrShortAdd},
		{"7 bytes", addPayload(week+1, 0, 0)[:7], wire.ErrShortAdd},
		{"timeout and id length", addPayload(week+1, 100, 5), wire.TimeoutRange},
		{"timeout and nothing else", addPayload(week+1, 0, 0), wire.TimeoutRange},
		{"largest timeout field", addPayload(1<<32-1, 1, 2), wire.TimeoutRange},
		{"nothing after the lengths", addPayload(week, 0, 0), wire.Corrupt},
		{"id takes all", addPayload(week, 5, 5), wire.Corrupt},
		{"id of 65 takes all", addPayload(week, 65, 65), wire.Corrupt},
		{"id over all", addPayload(0, 6, 5), wire.Corrupt},
		{"largest id field", addPayload(0, 1<<32-1, 5), wire.Corrupt},
		{"id of 0", addPayload(0, 0, 5), wire.IDRange},
		{"id of 65", addPayload(0, 65, 66), wire.IDRange},
		{"id of 65, much data", addPayload(0, 65, 65+wire.MaxData+1), wire.IDRange},
		{"data of 32769", addPayload(0, 1, 1+wire.MaxData+1), wire.DataRange},
		{"data of 32768", addPayload(0, 1, 1+wire.MaxData), nil},
		{"least", addPayload(0, 1, 2), nil},
		{"id of 64, a week", addPayload(week, 64, 65), nil},
	} {
		id, data, timeout, err := wire.ParseAdd(x.payload)
		if err != x.want {
			t.Errorf("%s: %v, want %v", x.name, err, x.want)
		}
		if err != nil && (id != nil || data != nil || timeout != 0) {
			t.Errorf("%s: an error and a result", x.name)
		}
		if err == nil && !bytes.Equal(wire.AppendAdd(nil, id, data, timeout), x.payload) {
			t.Errorf("%s: written otherwise than read", x.name)
		}
	}
	if !errors.Is(wire.ErrShortAdd, wire.ErrCorrupt) {
		t.Error("a short ADD is no corruption")
	}
}

func TestCheckAdd(t *testing.T) {
	for _, x := range []struct {
		id, data int
		timeout  time.Duration
		want     error
	}{
		{0, 0, -1, wire.TimeoutRange},
		{0, 0, wire.MaxTimeout + 1, wire.TimeoutRange},
		{0, 0, wire.MaxTimeout, wire.IDRange},
		{65, 0, 0, wire.IDRange},
		{64, 0, 0, wire.DataRange},
		{1, wire.MaxData + 1, 0, wire.DataRange},
		{1, wire.MaxData, 0, nil},
	} {
		if err := wire.CheckAdd(make([]byte, x.id), make([]byte, x.data), x.timeout); err != x.want {
			t.Errorf("%+v: %v", x, err)
		}
	}
	for n, want := range map[int]error{0: wire.NotOK, 1: nil, 64: nil, 65: wire.NotOK} {
		if err := wire.CheckID(make([]byte, n)); err != want {
			t.Errorf("id of %d bytes: %v, want %v", n, err, want)
		}
	}
	if n := len(addPayload(0, 32, 32+wire.MaxAddData)); n != wire.MaxPayload {
		t.Errorf("an ADD of MaxAddData has %d bytes", n)
	}
}

func TestParseAnswers(t *testing.T) {
	for _, x := range []struct {
		payload     []byte
		status, get error
	}{
		{nil, wire.Disconnected, wire.Disconnected},
		{[]byte{0}, nil, nil},
		{[]byte{1}, wire.NotOK, wire.NotOK},
		{[]byte{2}, wire.Disconnected, wire.Disconnected},
		{[]byte{101}, wire.MatchingSession, nil},
		{[]byte{0, 0}, wire.ErrCorrupt, nil},
	} {
		if err := wire.ParseStatus(x.payload); err != x.status {
			t.Errorf("%x as a status: %v, want %v", x.payload, err, x.status)
		}
		data, err := wire.ParseGet(x.payload)
		if err != x.get || err == nil && !bytes.Equal(data, x.payload) {
			t.Errorf("%x as a session: %x, %v, want %v", x.payload, data, err, x.get)
		}
	}
}

func FuzzParseAdd(f *testing.F) {
	f.Add(addPayload(60000, 16, 21))
	f.Add(addPayload(604800001, 16, 21))
	f.Add(addPayload(0, 1<<32-1, 1))
	f.Add(addPayload(0, 0, 1))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, payload []byte) {
		id, data, timeout, err := wire.ParseAdd(payload)
		if err != nil {
			var s wire.Status
			if !errors.As(err, &s) && !errors.Is(err, wire.ErrCorrupt) {
				t.Fatalf("%v is neither a status nor corruption", err)
			}
			return
		}
		if err := wire.CheckAdd(id, data, timeout); err != nil {
			t.Fatalf("let through: %v", err)
		}
		if !bytes.Equal(wire.AppendAdd(nil, id, data, timeout), payload) {
			t.Fatal("written otherwise than read")
		}
	})
}
