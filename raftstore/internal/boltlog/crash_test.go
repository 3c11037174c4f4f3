package boltlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A crash at any step leaves a log with all that was written, in the old file or in the new one.
func TestCrashAtEachStep(t *testing.T) {
	t.Parallel()
	l, m := newLog(t, 1, 40)
	old := filepath.Join(t.TempDir(), "log")
	if err := os.Link(l.path, old); err != nil {
		t.Fatal(err)
	}
	steps := make(map[step]int)
	_, _, err := l.compact(t.Context(), small, func(s step) error {
		if s == atPiece || s == atSwapped {
			m.do(t, l, 5)
		}
		m.same(t, l) // it is read at any time
		if (s == atCopied || s == atRenamed) && l.writing.TryLock() {
			t.Error("something could be written that a crash would lose")
		}
		if steps[s]++; steps[s] > 4 {
			return nil
		}
		image := filepath.Join(t.TempDir(), "log")
		images := []string{image}
		copyFile(t, l.path, image)
		switch s {
		case atPiece, atCopied:
			copyFile(t, l.path+copySuffix, image+copySuffix)
		case atRenamed: // the disk may still have it under its old name
			other := filepath.Join(t.TempDir(), "log")
			images = append(images, other)
			copyFile(t, old, other)
			copyFile(t, l.path, other+copySuffix)
			nothingLeft(t, l.path)
		}
		for _, path := range images {
			after := openAt(t, path)
			nothingLeft(t, path)
			m.same(t, after)
			shut(t, after)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if steps[atPiece] < 4 || steps[atCopied] != 1 || steps[atRenamed] != 1 || steps[atSwapped] != 1 {
		t.Errorf("steps: %v", steps)
	}
}

// copyFile copies a file, but for its holes.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	src, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	fi, err := src.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(0); at < fi.Size(); {
		begin, err := unix.Seek(int(src.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		end, err2 := unix.Seek(int(src.Fd()), begin, unix.SEEK_HOLE)
		_, err3 := io.Copy(io.NewOffsetWriter(dst, begin), io.NewSectionReader(src, begin, end-begin))
		if err := errors.Join(err, err2, err3); err != nil {
			t.Fatal(err)
		}
		at = end
	}
	if err := dst.Truncate(fi.Size()); err != nil {
		t.Fatal(err)
	}
}

const childVar = "BOLTLOG_CHILD"

// A process that is killed while it writes and compacts has lost nothing that it said it had written.
func TestKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	m := newModel(1)
	written, compacted, images := 0, 0, 0
	for round := range 6 {
		more, c := killedChild(t, path, written, 7*round, round%3)
		if _, err := os.Stat(path + copySuffix); err == nil {
			images++
		}
		compacted += c
		for range more {
			m.next()
			written++
		}
		l := openAt(t, path)
		err := m.differs(l)
		if err != nil { // the write under way may have come to its end
			m.next()
			written++
			if err2 := m.differs(l); err2 != nil {
				t.Fatalf("after %d writes: %v; after one more: %v", written-1, err, err2)
			}
		}
		nothingLeft(t, path)
		shut(t, l)
	}
	t.Logf("%d writes, %d compactions, %d interrupted", written, compacted, images)
	if compacted == 0 || images == 0 {
		t.Error("it was never killed while compacting, or always")
	}
}

// killedChild runs a process that goes on after so many writes, kills it when it has reported some more and some
// compactions, and returns how many.
func killedChild(t *testing.T, path string, after, minWrites, minCompactions int) (writes, compactions int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChild$")
	cmd.Env = append(os.Environ(), childVar+"="+path+" "+strconv.Itoa(after))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		switch lines.Text() {
		case "written":
			writes++
		case "compacted":
			compactions++
		default:
			t.Error(lines.Text())
		}
		if !killed && writes >= minWrites && compactions >= minCompactions {
			killed = true
			_ = cmd.Process.Kill()
		}
	}
	if err := cmd.Wait(); !killed {
		t.Fatalf("the child ended by itself: %v\n%s", err, stderr.Bytes())
	}
	return writes, compactions
}

func TestKilledChild(t *testing.T) {
	arg := os.Getenv(childVar)
	if arg == "" {
		t.Skip("run by TestKilled")
	}
	path, after, _ := strings.Cut(arg, " ")
	n, err := strconv.Atoi(after)
	if err != nil {
		t.Fatal(err)
	}
	m := newModel(1)
	for range n {
		m.next()
	}
	l := openAt(t, path)
	go func() {
		for {
			if _, _, err := l.compact(t.Context(), small, noStep); err != nil {
				fmt.Println(err)
			}
			fmt.Println("compacted")
		}
	}()
	for {
		if err := m.next()(l); err != nil {
			fmt.Println(err)
		}
		fmt.Println("written")
	}
}
