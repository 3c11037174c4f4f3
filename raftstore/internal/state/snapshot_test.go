package state

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
	"github.com/distcache/distcache/wire"
)

// copied is a copy of the state, and the applied index when it was asked for.
type copied struct {
	asked uint64
	bytes []byte
}

// checkCopy installs a copy, applies the rest of the log to it, and compares the state with the one that is wanted.
func checkCopy(t *testing.T, s copied, log [][]byte, results [][]wire.Status, want string) {
	t.Helper()
	other := newMachine(t, never)
	do(t, other, at(1), adding("of its own", 1000, "data"))
	if err := restore(other, bytes.NewReader(s.bytes)); err != nil {
		t.Fatal(err)
	}
	from, _ := other.Applied()
	if from < s.asked {
		t.Fatalf("the copy holds %d, and was asked for at %d", from, s.asked)
	}
	if flushed, _ := other.Flushed(); flushed != from {
		t.Errorf("flushed %d, applied %d", flushed, from)
	}
	// The log is replayed from where the copy was asked for: what it holds already is skipped.
	for i := s.asked; i < uint64(len(log)); i++ {
		got, err := other.Apply(i+1, 1, log[i])
		if err != nil {
			t.Fatal(err)
		}
		if i < from && got != nil || i >= from && fmt.Sprint(got) != fmt.Sprint(results[i]) {
			t.Fatalf("entry %d after a copy at %d: %v, want %v", i+1, from, got, results[i])
		}
	}
	if got := dump(t, other); got != want {
		t.Fatalf("the two differ\n%.2000s\n%.2000s", got, want)
	}
	other.Close()
	if other = openAt(t, other.path, never); dump(t, other) != want {
		t.Fatal("another state after reopening")
	}
}

// A copy that is taken while Apply goes on is a whole state at or past the applied index at that time. A machine that
// installs the copy goes on from there as if it had applied the entries itself.
func TestCopyUnderApply(t *testing.T) {
	const seed, entries = 11, 600
	g := newGenerator(seed)
	var log [][]byte
	for range entries {
		h, ops := g.entry()
		log = append(log, encode(h, ops...))
	}
	m := newMachine(t, Options{FlushInterval: time.Millisecond})
	results := make([][]wire.Status, entries)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	snapshots := make(chan copied, 1000)
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			asked, _ := m.Applied()
			var b bytes.Buffer
			n, err := streamTo(m, &b)
			if err != nil || n != int64(b.Len()) {
				t.Errorf("%d bytes said, %d written, %v", n, b.Len(), err)
				return
			}
			select {
			case snapshots <- copied{asked, b.Bytes()}:
			default:
			}
		}
	})
	for i, e := range log {
		var err error
		if results[i], err = m.Apply(uint64(i+1), 1, e); err != nil {
			t.Fatal(err)
		}
		if i%100 == 50 {
			<-snapshots // so that there is one now and then
		}
	}
	close(stop)
	wg.Wait()
	close(snapshots)
	want, tried := dump(t, m), 0
	for s := range snapshots {
		if tried++; tried > 8 {
			break
		}
		checkCopy(t, s, log, results, want)
	}
}

// What is not a whole state file must not take the place of one.
func TestInstallRefuses(t *testing.T) {
	donor := newMachine(t, never)
	do(t, donor, at(1), adding("a", 1000, "data"))
	var good bytes.Buffer
	if _, err := streamTo(donor, &good); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "bolt")
	db, err := boltfile.Open(other) // a bbolt file with nothing in it
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	empty, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, never)
	do(t, m, at(1), adding("mine", 1000, "data"))
	for name, r := range map[string][]byte{
		"nothing":       nil,
		"half":          good.Bytes()[:good.Len()/2],
		"all but one":   good.Bytes()[:good.Len()-1],
		"text":          []byte("this is no state"),
		"another bbolt": empty,
	} {
		if err := restore(m, bytes.NewReader(r)); err == nil {
			t.Errorf("%s was installed", name)
		}
		if get(t, m, "mine") != "data" {
			t.Fatalf("%s: the state is gone", name)
		}
	}
	if err := m.Install(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	do(t, m, at(1), adding("more", 1000, "data"))
	flush(t, m)
	if err := restore(m, &good); err != nil || get(t, m, "a") != "data" || m.Len() != 1 {
		t.Errorf("%v, %d sessions", err, m.Len())
	}
}

// When the received file can't take the place of the old one the machine has failed, and says so to everyone.
func TestInstallFails(t *testing.T) {
	failed := make(chan error, 10)
	m := newMachine(t, Options{FlushInterval: time.Millisecond, Failed: func(err error) { failed <- err }})
	do(t, m, at(1), adding("a", 1000, "data"))
	var good bytes.Buffer
	if _, err := streamTo(m, &good); err != nil {
		t.Fatal(err)
	}
	// A directory can't be replaced by a file.
	if err := os.Remove(m.path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(m.path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := restore(m, &good); err == nil {
		t.Fatal("installed")
	}
	if err := <-failed; err == nil {
		t.Error("Failed was told nothing")
	}
	if _, _, err := m.Get([]byte("a"), 0); err == nil {
		t.Error("a read found data in a file that is not there")
	}
	if _, err := m.Apply(9, 1, encode(at(1))); err == nil {
		t.Error("applied")
	}
	if err := m.Flush(); err == nil {
		t.Error("flushed")
	}
	m.Flushed()
	m.Close()
	if len(failed) != 0 {
		t.Error("Failed was called more than once")
	}
}

// A file that can't be written stops the machine: Failed is called once, and every call that writes gets the error.
func TestFailedWrite(t *testing.T) {
	failed := make(chan error, 10)
	m := newMachine(t, Options{FlushInterval: time.Millisecond, Failed: func(err error) { failed <- err }})
	do(t, m, at(1), adding("old", 1000, "data"))
	flush(t, m)
	m.db.Close()
	do(t, m, at(1), adding("new", 1000, "data"))
	why := <-failed
	if why == nil || !strings.Contains(why.Error(), m.path) {
		t.Errorf("Failed was told %v", why)
	}
	for range 3 {
		if _, err := m.Apply(9, 1, encode(at(1))); err == nil {
			t.Error("applied")
		}
		if err := m.Flush(); err == nil {
			t.Error("flushed")
		}
		if _, err := streamTo(m, &bytes.Buffer{}); err == nil {
			t.Error("copied")
		}
	}
	m.Close()
	if len(failed) != 0 {
		t.Error("Failed was called more than once")
	}
}

// The disk is full: in a process of its own, whose files can't grow.
func TestDiskFull(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestDiskFullChild$", "-test.v")
	cmd.Env = append(os.Environ(), "STATE_CHILD="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("ended in good order")) {
		t.Fatalf("%v\n%.4000s", err, out)
	}
}

func TestDiskFullChild(t *testing.T) {
	dir := os.Getenv("STATE_CHILD")
	if dir == "" {
		t.Skip("run by TestDiskFull")
	}
	signal.Ignore(syscall.SIGXFSZ)
	failed := make(chan error, 10)
	path := filepath.Join(dir, "state.db")
	m := openAt(t, path, Options{FlushInterval: 20 * time.Millisecond, Failed: func(err error) { failed <- err }})
	do(t, m, at(1), adding("old", 1000, "data"))
	flush(t, m)
	held, _ := m.Flushed()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	limit := uint64(fi.Size())
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		index, _ := m.Applied()
		e := encode(at(1), adding(fmt.Sprint(i), 1000, string(make([]byte, 30000))))
		if _, err := m.Apply(index+1, 1, e); err != nil {
			break
		}
		if i > 10000 {
			t.Fatal("the file grew beyond its limit")
		}
	}
	if err := <-failed; err == nil {
		t.Error("Failed was told nothing")
	}
	if err := m.Flush(); err == nil {
		t.Error("flushed")
	}
	if _, _, err := m.Get([]byte("old"), 0); err == nil {
		t.Error("read")
	}
	m.Close()
	m = openAt(t, path, never)
	if now, _ := m.Applied(); now < held || get(t, m, "old") != "data" {
		t.Errorf("the file holds %d, and held %d before", now, held)
	}
	if len(failed) != 0 {
		t.Error("Failed was called more than once")
	}
	t.Log("ended in good order")
}
