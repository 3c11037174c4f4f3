package boltfile

import (
	"bytes"
	"fmt"
	"io"
)

// Announced reads a file that is said to have size bytes. It fails with ErrDamaged as soon as the file's first page shows
// that it is no bbolt file of that size, so that no more of it is taken in.
func Announced(r io.Reader, size int64) io.Reader { return &announced{r: r, size: size} }

type announced struct {
	r    io.Reader
	size int64
	head []byte // until the first page's record is there
	done bool
	err  error
}

func (a *announced) Read(p []byte) (int, error) {
	if a.err != nil {
		return 0, a.err
	}
	n, err := a.r.Read(p)
	if a.done {
		return n, err
	}
	a.head = append(a.head, p[:min(n, pageHeader+metaSize-len(a.head))]...)
	if len(a.head) < pageHeader+metaSize && err == nil {
		return n, nil
	}
	m, ok := readMeta(bytes.NewReader(a.head), 0)
	if !ok || int64(m.pages)*int64(m.pageSize) != a.size {
		a.err = fmt.Errorf("%w: its first page is not that of a file of %d bytes", ErrDamaged, a.size)
		return 0, a.err
	}
	a.done = true
	return n, err
}
