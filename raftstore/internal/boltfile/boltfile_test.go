package boltfile

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"
)

// sample writes a bbolt file with a tree of a few levels, values of several pages, a nested bucket and one small enough
// to lie within its parent's page, and returns its bytes.
func sample(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		err = db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("big"))
			if err != nil {
				return err
			}
			for i := range 400 {
				if err := b.Put(fmt.Appendf(nil, "key %05d", i*3+round), bytes.Repeat([]byte{byte(i)}, 200)); err != nil {
					return err
				}
			}
			if err := b.Put(fmt.Appendf(nil, "long %d", round), make([]byte, 20000)); err != nil {
				return err
			}
			small, err := tx.CreateBucketIfNotExists([]byte("small"))
			if err != nil {
				return err
			}
			nested, err := small.CreateBucketIfNotExists([]byte("nested"))
			if err != nil {
				return err
			}
			return nested.Put([]byte("k"), []byte("v"))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Without what bbolt has put by for later, but for a page of it.
	return b[:(int(pagesUsed(t, b))+1)*os.Getpagesize()]
}

// open opens a file with these bytes and reads all that is in it.
func open(t testing.TB, content []byte) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return openPath(path)
}

func openPath(path string) error {
	db, err := Open(path)
	if err != nil {
		return err
	}
	err = Guard(path, func() error {
		return db.View(func(tx *bbolt.Tx) error { return tx.ForEach(readAll) })
	})
	return errors.Join(err, db.Close())
}

func readAll(_ []byte, b *bbolt.Bucket) error {
	return b.ForEach(func(k, v []byte) error {
		if v == nil {
			return readAll(k, b.Bucket(k))
		}
		_, _ = bytes.Clone(k), bytes.Clone(v)
		return nil
	})
}

func TestOpenWhole(t *testing.T) {
	if err := open(t, sample(t)); err != nil {
		t.Fatal(err)
	}
}

func TestOpenMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	if err := openPath(path); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", fi, err)
	}
	if err := openPath(path); err != nil {
		t.Fatal(err)
	}
}

func TestOpenInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := openPath(path); err == nil || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("got %v", err)
	}
}

func TestTruncated(t *testing.T) {
	whole := sample(t)
	page := os.Getpagesize()
	used := int(pagesUsed(t, whole)) * page
	lengths := []int{1, 15, 16, 79, 80, page / 2, page - 1, page + 1, page + page/2, 2*page + 1, used - 1}
	for n := page; n < used; n += page {
		lengths = append(lengths, n)
	}
	for _, n := range lengths {
		if err := open(t, whole[:n]); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut at %d of %d: %v, want ErrDamaged", n, used, err)
		}
	}
	// What bbolt has put by for later is not missed, and an empty file is a new one.
	for _, n := range []int{0, used, len(whole) - 1} {
		if err := open(t, whole[:n]); err != nil {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

func pagesUsed(t testing.TB, whole []byte) uint64 {
	t.Helper()
	m, err := newestMeta(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	return m.pages
}

func TestNotBolt(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 64<<10)
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	for name, content := range map[string][]byte{
		"text":   []byte(strings.Repeat("this is no database\n", 1000)),
		"short":  []byte("x"),
		"zeros":  make([]byte, 64<<10),
		"random": random,
	} {
		if err := open(t, content); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
	if err := openPath(t.TempDir()); err == nil {
		t.Error("a directory was opened")
	}
}

func TestMetaBits(t *testing.T) {
	whole := sample(t)
	page := os.Getpagesize()
	for at := 0; at < pageHeader+metaSize; at += 7 {
		bit := 8*at + at%8
		one := bytes.Clone(whole)
		one[bit/8] ^= 1 << (bit % 8)
		if err := open(t, one); err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("bit %d of the first meta page: %v", bit, err)
		}
		two := bytes.Clone(whole)
		two[page+bit/8] ^= 1 << (bit % 8)
		if err := open(t, two); err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("bit %d of the second meta page: %v", bit, err)
		}
		both := bytes.Clone(one)
		both[page+bit/8] ^= 1 << (bit % 8)
		if err := open(t, both); bit/8 >= pageHeader && !errors.Is(err, ErrDamaged) {
			t.Errorf("bit %d of both meta pages: %v, want ErrDamaged", bit, err)
		}
	}
}

// Damage within pages must be an error, or harmless (bytes of a value, a free page); it must not end the process, nor
// may bbolt meet it: it reads its file from a goroutine of its own, whose panics nobody recovers. The damage is done in
// a process of its own, so that one that ends is seen.
func TestDamagedPages(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestDamagedPagesChild$", "-test.v")
	cmd.Env = append(os.Environ(), "BOLTFILE_CHILD=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("all survived")) {
		t.Fatalf("%v\n%s", err, out[:min(len(out), 4000)])
	}
}

func TestDamagedPagesChild(t *testing.T) {
	if os.Getenv("BOLTFILE_CHILD") == "" {
		t.Skip("run by TestDamagedPages")
	}
	const seed = 7
	r := rand.New(rand.NewPCG(seed, seed))
	whole := sample(t)
	page := os.Getpagesize()
	pages := int(pagesUsed(t, whole))
	path := filepath.Join(t.TempDir(), "db")
	try := func(what string, damage func(p []byte)) (damaged bool) {
		n := 2 + r.IntN(pages-2)
		b := bytes.Clone(whole)
		damage(b[n*page : (n+1)*page])
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		err := openPath(path)
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("seed %d, %s, page %d: %v", seed, what, n, err)
		}
		return err != nil
	}
	found := 0
	for range 10 {
		for what, damage := range map[string]func(p []byte){
			"random page": func(p []byte) {
				for i := range p {
					p[i] = byte(r.Uint32())
				}
			},
			"zero page":   func(p []byte) { clear(p) },
			"header byte": func(p []byte) { p[r.IntN(16)] ^= byte(1 + r.IntN(255)) },
			"element":     func(p []byte) { p[16+r.IntN(64)] ^= byte(1 + r.IntN(255)) },
			"some bytes": func(p []byte) {
				at := r.IntN(len(p) - 16)
				for i := range 16 {
					p[at+i] = byte(r.Uint32())
				}
			},
			"element high": func(p []byte) { p[16+16*r.IntN(8)+4*r.IntN(4)+3] = 0xff },
		} {
			if try(what, damage) {
				found++
			}
		}
	}
	if found == 0 {
		t.Error("no damage was found")
	}
	t.Logf("all survived; %d of 60 were refused", found)
}

// A file that the disk has no room for can be made once it has.
func TestFileThatCouldNotBeMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	fill := func(*bbolt.Options) error {
		return errors.Join(os.WriteFile(path, make([]byte, 4096), 0o600), syscall.ENOSPC)
	}
	if err := With(path, fill); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := openPath(path); err != nil {
		t.Fatal(err)
	}
	fail := func(*bbolt.Options) error { return syscall.ENOSPC }
	if err := With(path, fail); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := Check(path, nil); err != nil {
		t.Errorf("a file that was there: %v", err)
	}
}
