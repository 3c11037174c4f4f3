package main

import "testing"

func TestProcessors(t *testing.T) {
	for all, want := range map[int]int{1: 1, 2: 1, 7: 1, 8: 2, 16: 4, 128: 4} {
		if got := processors(all); got != want {
			t.Errorf("of %d processors it uses %d, not %d", all, got, want)
		}
	}
}
