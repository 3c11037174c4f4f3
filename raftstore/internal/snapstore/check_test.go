package snapstore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A received file that is no state leaves what was there before, also for the next start.
func TestReceivedIsCheckedBeforeItCounts(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	k := create(t, s, 3)
	k.Own()
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	damaged := errors.New("damaged")
	var checked []byte
	s.Check(func(file string) (err error) {
		checked, err = os.ReadFile(file)
		return errors.Join(err, damaged)
	})
	k = create(t, s, 9)
	if _, err := k.Write([]byte("bytes")); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); !errors.Is(err, damaged) {
		t.Errorf("Close = %v, want %v", err, damaged)
	}
	if string(checked) != "bytes" {
		t.Errorf("%q was checked", checked)
	}
	for range 2 {
		if got := content(t, s, 3); got != "live" || s.Pending() != "" {
			t.Errorf("its bytes are %q, pending %q", got, s.Pending())
		}
		if left, err := filepath.Glob(filepath.Join(dir, "*.db")); err != nil || len(left) > 0 {
			t.Errorf("it left %v, %v", left, err)
		}
		s = open(t, dir)
	}
}
