package store

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// The memory of expired sessions is given back within a second, without any request, and by one timer.
func TestMemoryGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(0)
		defer m.Close()
		held := func() int {
			m.mu.RLock()
			defer m.mu.RUnlock()
			return len(m.sessions)
		}
		add := func(prefix string, n int, timeout time.Duration) {
			for k := range n {
				err := m.Add(context.Background(), []byte(prefix+strconv.Itoa(k)), []byte("data"), timeout)
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		add("late", 10, time.Hour)
		add("many", 3*sweepBatch, time.Minute)
		add("soon", 10, 3*time.Second)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if n := held(); n != 10+3*sweepBatch {
			t.Errorf("%d held after the first have expired", n)
		}
		time.Sleep(57 * time.Second)
		synctest.Wait()
		if n := held(); n != 10 {
			t.Errorf("%d held after the many have expired", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := held(); n != 0 || len(m.queue) != 0 {
			t.Errorf("%d held in the end", n)
		}
	})
}
