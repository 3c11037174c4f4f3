package seal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const hour = uint64(time.Hour / time.Millisecond)

// start is the beginning of an epoch.
var start = uint64(time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC).UnixMilli())

func keyFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if _, err := Create(path, time.Hour, time.UnixMilli(int64(start))); err != nil {
		t.Fatal(err)
	}
	return path
}

func keys(t testing.TB, path string) *Keys {
	t.Helper()
	k, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

func sealed(t testing.TB, k *Keys, expiry uint64) []byte {
	t.Helper()
	b, err := k.Seal(nil, 0, []byte("an id"), []byte("secret data"), expiry)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) != len("secret data")+Overhead || bytes.Contains(b, []byte("secret")) {
		t.Fatalf("sealed: %q", b)
	}
	return b
}

func opens(k *Keys, b []byte) error {
	got, err := k.Open([]byte("> "), 0, []byte("an id"), b)
	if err == nil && string(got) != "> secret data" {
		return fmt.Errorf("got %q", got)
	}
	return err
}

func copyOf(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// Every node opens what any other has sealed, whatever epochs they are in.
func TestNodesShareKeys(t *testing.T) {
	path := keyFile(t)
	a, b := keys(t, path), keys(t, copyOf(t, path))
	for i := range uint64(5) {
		if err := opens(b, sealed(t, a, start+i*hour)); err != nil {
			t.Errorf("for hour %d: %v", i, err)
		}
	}
	if err := a.Advance(start + 2*hour); err != nil {
		t.Fatal(err)
	}
	if err := opens(b, sealed(t, a, start+3*hour)); err != nil {
		t.Errorf("at a node that is behind: %v", err)
	}
	if err := opens(a, sealed(t, b, start+3*hour)); err != nil {
		t.Errorf("at a node that is ahead: %v", err)
	}
	if x, y := a.Rings()[0], b.Rings()[0]; x.Fingerprint != y.Fingerprint || x.ID != y.ID || x.Until == y.Until {
		t.Errorf("rings %+v and %+v", x, y)
	}
}

// When an epoch is over, neither the process nor the file can open what expired in it, and both open the rest.
func TestForgotten(t *testing.T) {
	path := keyFile(t)
	k := keys(t, path)
	var blobs [][]byte
	for i := range uint64(4) {
		blobs = append(blobs, sealed(t, k, start+i*hour+1))
	}
	for now := range uint64(4) {
		if err := k.Advance(start + now*hour); err != nil {
			t.Fatal(err)
		}
		thief := keys(t, copyOf(t, path))
		for i, b := range blobs {
			for who, keys := range map[string]*Keys{"the node": k, "a thief": thief} {
				err := opens(keys, b)
				if gone := uint64(i) < now; gone && !errors.Is(err, ErrForgotten) || !gone && err != nil {
					t.Errorf("in hour %d, what expires in hour %d, to %s: %v", now, i, who, err)
				}
			}
		}
	}
}

// What an earlier key file had is overwritten on disk.
func TestOldKeyIsOverwritten(t *testing.T) {
	path := keyFile(t)
	k := keys(t, path)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before, _ := os.ReadFile(path)
	if err := k.Advance(start + hour); err != nil {
		t.Fatal(err)
	}
	old := make([]byte, len(before))
	if _, err := f.ReadAt(old, 0); err != nil || len(bytes.Trim(old, "\x00")) > 0 {
		t.Errorf("the old file has %q, %v", old, err)
	}
	after, _ := os.ReadFile(path)
	for _, word := range strings.Fields(string(before)) {
		if len(word) > 40 && word != strings.Fields(string(before))[11] && strings.Contains(string(after), word) {
			t.Errorf("a key is in both files")
		}
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Errorf("files: %v", entries)
	}
}

// A crash while the file is replaced leaves one that can be read.
func TestCrashWhileReplaced(t *testing.T) {
	path := keyFile(t)
	blob := sealed(t, keys(t, path), start+hour)
	if err := os.WriteFile(path+".new", []byte("distcache seal k"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := keys(t, path)
	if err := opens(k, blob); err != nil {
		t.Error(err)
	}
	if err := k.Advance(start + hour); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	path, other := keyFile(t), keyFile(t)
	k := keys(t, path)
	b := sealed(t, k, start+hour)
	if err := opens(keys(t, other), b); !errors.Is(err, ErrNoKey) {
		t.Errorf("with another ring: %v", err)
	}
	if _, err := k.Open(nil, 1, []byte("an id"), b); !errors.Is(err, ErrDamaged) {
		t.Errorf("in another namespace: %v", err)
	}
	if _, err := k.Open(nil, 0, []byte("an id!"), b); !errors.Is(err, ErrDamaged) {
		t.Errorf("under another id: %v", err)
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 0x40
		if err := opens(k, bad); err == nil {
			t.Errorf("with byte %d changed it opens", i)
		}
	}
	for n := range b {
		if err := opens(k, b[:n]); err == nil {
			t.Errorf("cut off at %d it opens", n)
		}
	}
	late := bytes.Clone(b)
	binary.BigEndian.PutUint64(late[9:], start+400*24*hour)
	if err := opens(k, late); !errors.Is(err, ErrFormat) {
		t.Errorf("of an epoch in a year: %v", err)
	}
}

func TestCovers(t *testing.T) {
	k := keys(t, keyFile(t))
	b := sealed(t, k, start+hour/2)
	for expiry, want := range map[uint64]bool{start: true, start + hour - 1: true, start + hour: false, start + 5*hour: false,
		start - 22*hour: true, start - 26*hour: false} {
		if ok, err := Covers(b, expiry); err != nil || ok != want {
			t.Errorf("expiry %d h: %v, %v", (int64(expiry)-int64(start))/int64(hour), ok, err)
		}
	}
	if _, err := Covers([]byte("plain data"), start); !errors.Is(err, ErrFormat) {
		t.Errorf("plain data: %v", err)
	}
}

// A new ring seals at once, the old one opens what it has sealed, until it is dropped.
func TestRings(t *testing.T) {
	path := keyFile(t)
	k := keys(t, path)
	old := sealed(t, k, start+hour)
	first := k.Rings()[0].ID
	if _, err := Add(path, time.Minute, time.UnixMilli(int64(start))); err != nil {
		t.Fatal(err)
	}
	if err := k.Reload(); err != nil {
		t.Fatal(err)
	}
	b := sealed(t, k, start+hour)
	if id, _, _ := header(b); id == first || len(k.Rings()) != 2 {
		t.Errorf("sealed with %s, rings %+v", id, k.Rings())
	}
	if err := errors.Join(opens(k, old), opens(k, b)); err != nil {
		t.Error(err)
	}
	if err := Drop(path, first); err != nil {
		t.Fatal(err)
	}
	if err := k.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := opens(k, old); !errors.Is(err, ErrNoKey) {
		t.Errorf("after the ring was dropped: %v", err)
	}
	if err := Drop(path, first); err == nil {
		t.Error("a ring was dropped twice")
	}
	if err := Drop(path, k.Rings()[0].ID); err == nil {
		t.Error("the only ring was dropped")
	}
}

// Files from the past don't bring back what is over.
func TestReloadGoesNotBack(t *testing.T) {
	path := keyFile(t)
	before, _ := os.ReadFile(path)
	k := keys(t, path)
	b := sealed(t, k, start+hour/2)
	if err := k.Advance(start + hour); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := opens(k, b); !errors.Is(err, ErrForgotten) {
		t.Errorf("what is over: %v", err)
	}
}

func TestKeyFileRefused(t *testing.T) {
	path := keyFile(t)
	good, _ := os.ReadFile(path)
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		want    string
	}{
		"others can read it": {string(good), 0o640, "mode 0640"},
		"empty":              {"", 0o600, "no seal key"},
		"damaged":            {strings.Replace(string(good), "epoch 3600s", "epoch 3601s", 1), 0o600, "its sum is wrong"},
		"cut off":            {string(good[:len(good)-3]), 0o600, "its sum is wrong"},
		"too long":           {strings.Repeat("x", maxFile+1), 0o600, "too long"},
	} {
		os.WriteFile(path, []byte(c.content), 0o600)
		os.Chmod(path, c.mode)
		_, err := Open(path)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		for _, word := range strings.Fields(string(good)) {
			if err != nil && len(word) > 40 && strings.Contains(err.Error(), word) {
				t.Errorf("%s: the error has a key", name)
			}
		}
	}
	if _, err := Create(path, time.Hour, time.Now()); !errors.Is(err, os.ErrExist) {
		t.Errorf("a key was overwritten: %v", err)
	}
	for _, d := range []time.Duration{time.Second, 48 * time.Hour, time.Hour + time.Millisecond} {
		if _, err := Create(path+"2", d, time.Now()); err == nil {
			t.Errorf("epochs of %v", d)
		}
	}
}

// A clock that is far ahead does not take all keys away.
func TestTimeFarAhead(t *testing.T) {
	k := keys(t, keyFile(t))
	if err := k.Advance(start + 1000*366*24*hour); err == nil {
		t.Error("a thousand years ahead")
	}
	if err := opens(k, sealed(t, k, start+hour)); err != nil {
		t.Error(err)
	}
}

func TestManyAtOnce(t *testing.T) {
	k := keys(t, keyFile(t))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range uint64(200) {
				b, err := k.Seal(nil, 0, []byte("an id"), []byte("secret data"), start+100*hour+i%50*hour)
				if err == nil {
					err = opens(k, b)
				}
				if err != nil {
					t.Error(err)
				}
				if g == 0 && i%20 == 0 {
					if err := errors.Join(k.Advance(start+i/20*hour), k.Reload()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}

func FuzzOpen(f *testing.F) {
	k := keys(f, keyFile(f))
	f.Add([]byte("an id"), sealed(f, k, start+hour))
	f.Add([]byte{}, []byte{version})
	f.Fuzz(func(t *testing.T, id, b []byte) {
		if len(id) > 64 {
			return
		}
		if got, err := k.Open(nil, 0, id, b); err == nil && string(got) != "secret data" {
			t.Errorf("%x opens as %q", b, got)
		}
		Covers(b, start)
	})
}

func FuzzKeyFile(f *testing.F) {
	b, _ := os.ReadFile(keyFile(f))
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		rings, err := decode(b)
		if err == nil && !bytes.Equal(encode(rings), b) {
			t.Errorf("%q is read as %q", b, encode(rings))
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k := keys(b, keyFile(b))
	data, id := make([]byte, 1024), make([]byte, 32)
	b.RunParallel(func(pb *testing.PB) {
		var buf []byte
		for pb.Next() {
			buf, _ = k.Seal(buf[:0], 0, id, data, start+hour)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	k := keys(b, keyFile(b))
	data, id := make([]byte, 1024), make([]byte, 32)
	blob, _ := k.Seal(nil, 0, id, data, start+hour)
	b.RunParallel(func(pb *testing.PB) {
		var buf []byte
		for pb.Next() {
			buf, _ = k.Open(buf[:0], 0, id, blob)
		}
	})
}
