package raftstore

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/seal"
	"github.com/distcache/distcache/wire"
)

// FuzzPeerRequest reads what another node may send. What is accepted has the sizes that an entry may have.
func FuzzPeerRequest(f *testing.F) {
	who := appendIdentity(nil, entry.Identity{Origin: 1, Counter: 2, Low: 1})
	f.Add(byte(opAdd), wire.AppendAdd(append(bytes.Clone(who), peerPlain), []byte("id"), []byte("data"), 1000))
	f.Add(byte(opRemove), append(bytes.Clone(who), "id"...))
	f.Add(byte(opGet), append(termProof{id: "n2"}.append(nil), "id"...))
	f.Add(byte(opJoin), []byte(`{"id":"n2/00000001","address":"127.0.0.1:1"}`))
	f.Fuzz(func(t *testing.T, op byte, b []byte) {
		switch wire.Op(op) {
		case opAdd:
			id, rest, ok := parseIdentity(b)
			if !ok {
				return
			}
			o := entry.Op{Identity: id}
			if parseForwardedAdd(&o, rest) != nil {
				return
			}
			e := entry.AppendOp(entry.Begin(nil), &o)
			entry.Seal(e, entry.Header{Count: 1, Sealed: o.Sealed})
			if err := entry.Check(e); err != nil || len(o.Data) > wire.MaxData+seal.Overhead {
				t.Errorf("an ADD that was accepted makes an entry that is not: %v", err)
			}
		case opGet:
			parseTermProof(b)
		default:
			var req memberRequest
			if json.Unmarshal(b, &req) == nil {
				req.inOwnName("n1/00000001", wire.Op(op))
			}
		}
	})
}
