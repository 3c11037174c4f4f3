package boltfile

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"testing/iotest"

	"go.etcd.io/bbolt"
)

// A file that a transaction has written is read whole; anything else ends with its first page.
func TestAnnounced(t *testing.T) {
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var file bytes.Buffer
	var size int64
	err = db.View(func(tx *bbolt.Tx) error {
		size = tx.Size()
		_, err := tx.WriteTo(&file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, wrap := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.DataErrReader, func(r io.Reader) io.Reader { return r }} {
		got, err := io.ReadAll(Announced(wrap(bytes.NewReader(file.Bytes())), size))
		if err != nil || !bytes.Equal(got, file.Bytes()) {
			t.Errorf("read %d of %d bytes, %v", len(got), size, err)
		}
	}
	for name, bad := range map[string]io.Reader{
		"nothing":       bytes.NewReader(nil),
		"zeros":         io.LimitReader(zeros{}, 1<<30),
		"its beginning": bytes.NewReader(file.Bytes()[:50]),
	} {
		n, err := io.Copy(io.Discard, Announced(bad, size))
		if !errors.Is(err, ErrDamaged) || n > 64<<10 {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
	if _, err := io.Copy(io.Discard, Announced(bytes.NewReader(file.Bytes()), 2<<30)); !errors.Is(err, ErrDamaged) {
		t.Errorf("of another size: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
