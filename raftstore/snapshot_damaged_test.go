package raftstore

import (
	"bytes"
	"testing"
)

// A snapshot of a leader whose disk has changed a bit is not taken. It leaves nothing behind that would keep the node
// from starting again, and the next one is taken.
func TestDamagedSnapshotDoesNotKeepFromStarting(t *testing.T) {
	eachLog(t, func(t *testing.T, kind LogKind) {
		h := aheadHistory()
		f := newFollower(t, h, kind)
		f.append(1, aheadOwn)
		f.holds(aheadOwn)
		content := stream(t, h.state(t, aheadContent))
		changed := bytes.Clone(content)
		changed[bytes.Index(changed, []byte("data of last"))] ^= 4
		for name, bad := range map[string][]byte{"a bit changed": changed, "half of it": content[:len(content)/2]} {
			if f.send(aheadIndex, len(bad), bytes.NewReader(bad)) == nil {
				t.Errorf("%s: it was installed", name)
			}
			torn{f, nil}.clean("a damaged snapshot", name)
			f.restart()
			f.append(aheadOwn+1, aheadOwn)
			f.holds(aheadOwn)
		}
		f.install(aheadIndex, content)
		f.holds(aheadContent)
	})
}
