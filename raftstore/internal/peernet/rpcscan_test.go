package peernet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/serverid"
)

const scannedID = serverid.ID("n1/00000001")

// encoded is a request as Raft's transport sends it.
func encoded(t testing.TB, kind byte, req any) []byte {
	t.Helper()
	b := bytes.NewBuffer([]byte{kind})
	h := new(codec.MsgpackHandle)
	h.TimeNotBuiltin = true
	if err := codec.NewEncoder(b, h).Encode(req); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// requests are one of each kind.
func requests(t testing.TB) map[string][]byte {
	h := raft.RPCHeader{ProtocolVersion: 3, ID: []byte(scannedID), Addr: []byte(scannedID)}
	var entries []*raft.Log
	for i := range 300 {
		entries = append(entries, &raft.Log{Index: uint64(i + 7), Term: 1 << 40, Data: make([]byte, i*300),
			Extensions: []byte("x"), AppendedAt: time.Now()})
	}
	snapshot := encoded(t, rpcInstallSnapshot, &raft.InstallSnapshotRequest{RPCHeader: h, SnapshotVersion: 1, Term: 3,
		Leader: []byte("x"), LastLogIndex: 9, Configuration: make([]byte, 500), Size: 70000})
	return map[string][]byte{
		"heartbeat": encoded(t, rpcAppendEntries, &raft.AppendEntriesRequest{RPCHeader: h, Term: 5}),
		"append": encoded(t, rpcAppendEntries, &raft.AppendEntriesRequest{RPCHeader: h, Term: 5, PrevLogEntry: 6,
			Entries: entries, LeaderCommitIndex: 1 << 33}),
		"vote":     encoded(t, rpcRequestVote, &raft.RequestVoteRequest{RPCHeader: h, Term: 5, LeadershipTransfer: true}),
		"pre-vote": encoded(t, rpcRequestPreVote, &raft.RequestPreVoteRequest{RPCHeader: h, Term: 5}),
		"timeout":  encoded(t, rpcTimeoutNow, &raft.TimeoutNowRequest{RPCHeader: h}),
		"snapshot": append(snapshot, make([]byte, 70000)...),
	}
}

// Requests of Raft's own transport pass, in whatever pieces they come.
func TestScanRequests(t *testing.T) {
	for name, b := range requests(t) {
		for _, piece := range []int{1, 2, 3, 100, 4096, len(b)} {
			s := newScanner(scannedID, func() int64 { return 70000 })
			for range 2 {
				for p := range slices.Chunk(b, piece) {
					if s.between() && len(p) == 0 {
						t.Fatal("empty piece")
					}
					if err := s.scan(p); err != nil {
						t.Fatalf("%s in pieces of %d: %v", name, piece, err)
					}
				}
				if !s.between() {
					t.Fatalf("%s in pieces of %d: the end was not found", name, piece)
				}
			}
		}
		s := newScanner(scannedID, func() int64 { return 70000 })
		for i, c := range b[:min(len(b)-1, 2000)] {
			if err := s.scan([]byte{c}); err != nil || s.between() {
				t.Fatalf("%s: after %d of %d bytes: %v, between %v", name, i+1, len(b), err, s.between())
			}
		}
	}
}

// header is the beginning of a request: a map of so many pairs, the first of which is the sender's ID.
func header(kind byte, pairs byte) []byte {
	b := []byte{kind, 0x80 | pairs, 0xa2, 'I', 'D', 0xa0 | byte(len(scannedID))}
	return append(b, scannedID...)
}

func TestScanRefuses(t *testing.T) {
	other := bytes.Replace(requests(t)["vote"], []byte(scannedID), []byte("n2/00000001"), -1)
	for _, c := range []struct {
		name, why string
		bytes     []byte
	}{
		{"another ID", `bears the ID "n2/00000001"`, other},
		{"no ID", "no ID", encoded(t, rpcRequestVote, &struct{ Term int }{5})},
		{"an empty ID", "another type", encoded(t, rpcRequestVote, &raft.RequestVoteRequest{Term: 5})},
		{"a number for an ID", "another type", []byte{0, 0x81, 0xa2, 'I', 'D', 5}},
		{"a list for an ID", "within", []byte{0, 0x81, 0xa2, 'I', 'D', 0x91}},
		{"an unknown kind", "kind", []byte{5}},
		{"a list", "no map", []byte{0, 0x91}},
		{"4 GiB announced", "over", append(header(0, 2), 0xa4, 'T', 'e', 'r', 'm', 0xc6, 0xff, 0xff, 0xff, 0xff)},
		{"2^32 entries", "more than", append(header(0, 2), 0xa7, 'E', 'n', 't', 'r', 'i', 'e', 's', 0xdd, 0xff, 0xff, 0xff, 0xff)},
		{"2^32 pairs", "more than", []byte{0, 0xdf, 0xff, 0xff, 0xff, 0xff}},
		{"many values", "more than", append(header(0, 2), append([]byte{0xa1, 'x', 0xdc, 0x40, 0}, make([]byte, 1<<15)...)...)},
		{"depth", "within", append(header(0, 2), 0xa1, 'x', 0x91, 0x91, 0x91, 0x91)},
		{"a long snapshot", "at most", append(header(2, 2), 0xa4, 'S', 'i', 'z', 'e', 0xce, 0x7f, 0xff, 0xff, 0xff)},
		{"a snapshot below nothing", "at most", append(header(2, 2), 0xa4, 'S', 'i', 'z', 'e', 0xff)},
		{"a snapshot of a string", "another type", append(header(2, 2), 0xa4, 'S', 'i', 'z', 'e', 0xa1, 'x')},
		{"an unused byte", "begins with", append(header(0, 2), 0xc1)},
	} {
		s := newScanner(scannedID, func() int64 { return 1 << 20 })
		err := s.scan(c.bytes)
		if !errors.Is(err, errRPC) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// Many strings, each of a length that is allowed, are too much together.
	s := newScanner(scannedID, func() int64 { return 0 })
	err := s.scan(header(0, 15))
	for i := 0; err == nil && i < 10; i++ {
		err = s.scan(append([]byte{0xa1, 'x', 0xc6, 0, 0x40, 0, 0}, make([]byte, 4<<20)...))
	}
	if !errors.Is(err, errRPC) || s.size > maxRPC {
		t.Errorf("after %d bytes: %v", s.size, err)
	}
}

// What passes is read by Raft's decoder in the same way: a request ends where the scanner says, and bears that ID.
func FuzzRequests(f *testing.F) {
	for _, b := range requests(f) {
		f.Add(b[:min(len(b), 4000)])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const most = 1000
		s := newScanner(scannedID, func() int64 { return most })
		end := 0
		for end < len(b) && s.scan(b[end:end+1]) == nil {
			if end++; s.between() || s.inSnapshot() {
				break
			}
		}
		if end == 0 || !s.between() && !s.inSnapshot() {
			return
		}
		r := bytes.NewReader(b[1:])
		var req raft.WithRPCHeader
		switch b[0] {
		case rpcAppendEntries:
			req = new(raft.AppendEntriesRequest)
		case rpcRequestVote:
			req = new(raft.RequestVoteRequest)
		case rpcRequestPreVote:
			req = new(raft.RequestPreVoteRequest)
		case rpcTimeoutNow:
			req = new(raft.TimeoutNowRequest)
		case rpcInstallSnapshot:
			req = new(raft.InstallSnapshotRequest)
		}
		if err := codec.NewDecoder(r, &codec.MsgpackHandle{}).Decode(req); err != nil {
			return
		}
		if id := req.GetRPCHeader().ID; string(id) != string(scannedID) {
			t.Errorf("the ID is %q", id)
		}
		if read := len(b) - r.Len(); read != end {
			t.Errorf("the decoder read %d bytes, the scanner %d", read, end)
		}
		if i, ok := req.(*raft.InstallSnapshotRequest); ok && (i.Size < 0 || i.Size > most || i.Size != s.skip) {
			t.Errorf("the snapshot has %d bytes, the scanner awaits %d", i.Size, s.skip)
		}
	})
}

// A connection with half a request is closed after a while, and gives its turn back.
var _ = fmt.Sprint
var _ net.Conn
var _ io.Reader
