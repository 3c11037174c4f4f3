package wire_test

import (
	"testing"

	"github.com/distcache/distcache/wire"
)

func TestSameHost(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"cache1", "Cache1", true},
		{"cache1", "cache2", false},
		{"::1", "0:0:0:0:0:0:0:1", true},
		{"10.0.0.1", "::ffff:10.0.0.1", true},
		{"10.0.0.1", "10.0.0.2", false},
		{"localhost", "127.0.0.1", false},
	} {
		if got := wire.SameHost(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}
