package raftstore

import (
	"bytes"
	"testing"

	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// A follower of three and the leader are a majority, if the follower is who it says it is and has seen no later term.
func TestVouched(t *testing.T) {
	n := leading(t)
	term := n.serving.Load()
	other := serverid.ID("n2/00000001") // n1 leads
	good := termProof{term, other}
	for name, c := range map[string]struct {
		v    termProof
		want bool
	}{
		"good":              {good, true},
		"a later term":      {termProof{term + 1, other}, false},
		"an earlier term":   {termProof{term - 1, other}, false},
		"another server":    {termProof{term, other + "1"}, false},
		"nobody":            {termProof{term, ""}, false},
		"nobody known":      {termProof{term, "n5/00000001"}, false},
		"no vote":           {termProof{term, "n4/00000001"}, false},
		"the leader itself": {termProof{term, n.id}, false},
	} {
		applied, _ := n.state.Applied()
		index, ok := n.provenIndex(c.v)
		if ok != c.want || ok && index.index < applied {
			t.Errorf("%s: %+v, %v", name, index, ok)
		}
	}
	n.serving.Store(0)
	if _, ok := n.provenIndex(good); ok {
		t.Error("a leader that does not serve yet gave a read index")
	}
	n.serving.Store(term - 1)
	if _, ok := n.provenIndex(termProof{term - 1, other}); ok {
		t.Error("a leader of an earlier term gave a read index")
	}
}

func TestParseVouch(t *testing.T) {
	v := termProof{1 << 40, "n1/01234567"}
	b := append(v.append([]byte("x"))[1:], "id"...)
	if got, rest, ok := parseTermProof(b); !ok || got != v || string(rest) != "id" {
		t.Errorf("%x is %v, %q, %v", b, got, rest, ok)
	}
	for n := range len(b) - len("id") {
		if v, _, ok := parseTermProof(b[:n]); ok {
			t.Errorf("%x is %v", b[:n], v)
		}
	}
}

func FuzzParseVouch(f *testing.F) {
	f.Add(termProof{3, "n1/01234567"}.append(nil))
	f.Add(append(termProof{term: 3}.append(nil), "id"...))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 1, 9, 'n'})
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, rest, ok := parseTermProof(b); ok && !bytes.Equal(append(v.append(nil), rest...), b) {
			t.Errorf("%x is %v, %x", b, v, rest)
		}
	})
}
