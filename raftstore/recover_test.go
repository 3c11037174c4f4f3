package raftstore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/distcache/distcache/raftstore/internal/snapstore"
)

// A torn is the directory of a node that died while it received a snapshot, or installed it.
type torn struct {
	*follower
	content []byte
}

func (d torn) path(name string) string { return filepath.Join(d.dir, name) }

func (d torn) write(name string, b []byte) {
	d.t.Helper()
	if err := os.MkdirAll(filepath.Dir(d.path(name)), 0o700); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(d.path(name), b, 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d torn) move(from, to string) {
	d.t.Helper()
	if err := os.Rename(d.path(from), d.path(to)); err != nil {
		d.t.Fatal(err)
	}
}

func (d torn) snapshots() *snapstore.Store {
	d.t.Helper()
	s, err := snapstore.Open(d.path(snapshotDir), nil)
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

// received leaves a snapshot that counts and is not installed.
func (d torn) received() {
	d.t.Helper()
	if err := receive(d.t, d.snapshots(), d.h, aheadIndex, d.content).Close(); err != nil {
		d.t.Fatal(err)
	}
}

// placed leaves one whose bytes are the state file.
func (d torn) placed() {
	d.t.Helper()
	d.received()
	d.move(receivedFile, stateFile)
}

// noted leaves one that is installed, whose record says so.
func (d torn) noted() {
	d.t.Helper()
	d.placed()
	if err := d.snapshots().Installed(aheadContent); err != nil {
		d.t.Fatal(err)
	}
}

// Names of the snapshot store.
const (
	recordFile   = snapshotDir + "/meta.json"
	incomingFile = snapshotDir + "/incoming.db"
	receivedFile = snapshotDir + "/received.db"
)

// The steps from the first byte received to the note that the snapshot is installed, and what there is when the process
// has died after each.
var steps = []struct {
	name   string
	counts bool // the snapshot is the newest from here on
	placed bool // its bytes are the state file from here on
	noted  bool // its record says so
	leave  func(torn)
}{
	{"begun", false, false, false, func(d torn) { d.write(incomingFile, nil) }},
	{"partly received", false, false, false, func(d torn) { d.write(incomingFile, d.content[:len(d.content)/2]) }},
	{"all received", false, false, false, func(d torn) { d.write(incomingFile, d.content) }},
	{"named", false, false, false, func(d torn) { d.write(receivedFile, d.content) }},
	{"record begun", false, false, false, func(d torn) {
		d.write(receivedFile, d.content)
		d.write(recordFile+".new", []byte(`{"meta":{"Versi`))
	}},
	{"recorded", true, false, false, torn.received},
	{"placed", true, true, false, torn.placed},
	{"note begun", true, true, false, func(d torn) {
		d.placed()
		d.write(recordFile+".new", []byte(`{"meta":{"Versi`))
	}},
	{"noted", true, true, true, torn.noted},
	{"noted, its file there again", true, true, true, func(d torn) { // by a power failure, on some file systems
		d.noted()
		d.write(receivedFile, d.content)
	}},
}

// before is what a node may have had before the snapshot came.
var before = map[string]func(*follower){
	"no snapshot": func(*follower) {},
	"a snapshot of its own": func(f *follower) {
		if err := f.raft.Snapshot(10240); err != nil {
			f.t.Fatal(err)
		}
	},
	// Then its state is beyond the index of the one that comes, and its log is not.
	"a received one": func(f *follower) { f.install(aheadOwn, stream(f.t, f.h.state(f.t, aheadIndex+1))) },
}

// A node died while it received a snapshot, or installed it. Whatever the step was, the next start finds it as it was
// before, or with the snapshot, and the leader goes on from there.
func TestCrashBetweenReceivingAndInstalling(t *testing.T) {
	eachLog(t, func(t *testing.T, kind LogKind) {
		h := aheadHistory()
		content := stream(t, h.state(t, aheadContent))
		for had, prepare := range before {
			if kind != LogBolt && had != "no snapshot" {
				continue // the log has no part in what is different then
			}
			for _, step := range steps {
				f := newFollower(t, h, kind)
				f.append(1, aheadOwn)
				f.holds(aheadOwn)
				prepare(f)
				state, _ := f.state.Applied()
				f.stop()
				step.leave(torn{f, content})
				f.start()

				last := uint64(aheadOwn)
				if step.counts {
					last = aheadIndex
				}
				if step.placed || step.counts && state < aheadIndex {
					state = aheadContent
				}
				if got, _ := f.state.Applied(); got != state || f.raft.LastIndex() != last {
					t.Fatalf("%s, %s: the state is at %d and the log at %d, want %d and %d", had, step.name, got, f.raft.LastIndex(), state, last)
				}
				f.holds(state)
				f.knows(last)
				torn{f, content}.clean(had, step.name)
				f.append(last+1, h.last())
				f.holds(h.last())
				f.restart()
				f.append(h.last()+1, h.last())
				f.holds(h.last())
				f.knows(h.last())
				f.stop()
			}
		}
	})
}

// clean makes sure that nothing is left of what was received.
func (d torn) clean(had, step string) {
	d.t.Helper()
	for _, name := range []string{incomingFile, receivedFile} {
		if _, err := os.Stat(d.path(name)); !errors.Is(err, os.ErrNotExist) {
			d.t.Errorf("%s, %s: %s is still there: %v", had, step, name, err)
		}
	}
}

// A state file that ends before the newest snapshot, with nothing there to make it good, is refused, and so is a
// received one that is no state, or not that of the snapshot.
func TestStateBehindSnapshotIsRefused(t *testing.T) {
	h := aheadHistory()
	content := stream(t, h.state(t, aheadContent))
	old := stream(t, h.state(t, aheadOwn-1))
	for name, spoil := range map[string]func(torn){
		"state of before its own snapshot": func(d torn) { d.write(stateFile, old) },
		"no state": func(d torn) {
			if err := os.Remove(d.path(stateFile)); err != nil {
				t.Fatal(err)
			}
		},
		"received state lost": func(d torn) {
			d.received()
			d.move(receivedFile, "elsewhere")
		},
		"received state cut short": func(d torn) {
			d.received()
			d.write(receivedFile, content[:len(content)/2])
		},
		"received state empty": func(d torn) {
			d.received()
			d.write(receivedFile, nil)
		},
		"received state too old": func(d torn) {
			d.received()
			d.write(receivedFile, old)
		},
		"record lost": func(d torn) {
			d.noted()
			if err := os.Remove(d.path(recordFile)); err != nil {
				t.Fatal(err)
			}
		},
		"record damaged": func(d torn) { d.write(recordFile, []byte("{")) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFollower(t, h, LogBolt)
			f.append(1, aheadOwn)
			f.holds(aheadOwn)
			if err := f.raft.Snapshot(10240); err != nil {
				t.Fatal(err)
			}
			f.stop()
			spoil(torn{f, content})
			n, err := f.open(phaseMember)
			if err == nil {
				n.close()
				t.Fatal("it was taken")
			}
			t.Log(err)
		})
	}
}
