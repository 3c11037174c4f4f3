package config

import "testing"

func TestNotItself(t *testing.T) {
	for _, try := range []struct {
		listen, server string
		itself         bool
	}{
		{"UNIX:/run/a", "UNIX:/run/a", true},
		{"UNIX:/run/a", "UNIX:/run/../run/a", true},
		{"UNIX:/run/a", "UNIX:/run/b", false},
		{"UNIX:/run/a", "IP:127.0.0.1:9001", false},
		{"IP:127.0.0.1:9001", "IP:127.0.0.1:9001", true},
		{"IP:127.0.0.1:9001", "IPv4:127.0.0.1:9001", true},
		{"IP:127.0.0.1:9001", "IP:127.0.0.1:9002", false},
		{"IP:127.0.0.1:9001", "IP:127.0.0.2:9001", false},
		{"IP:9001", "IP:127.0.0.1:9001", true},
		{"IP:9001", "IP:localhost:9001", true},
		{"IP:[::]:9001", "IP:[::1]:9001", true},
		{"IP:9001", "IP:10.0.0.1:9001", false},
		{"IPv6:9001", "IP:127.0.0.1:9001", false},
		{"IPv4:9001", "IP:[::1]:9001", false},
		{"IP:cache1:9001", "IP:CACHE1:9001", true},
		{"IP:cache1:9001", "IP:cache2:9001", false},
		{"IPv4:9001", "IP:[::ffff:127.0.0.1]:9001", true},
		{"IPv6:9001", "IPv4:localhost:9001", false},
		{"FD:3", "FD:3", false},
		{"FD:3", "IP:127.0.0.1:9001", false},
	} {
		at := addresses(t, try.listen, try.server)
		if err := NotItself(at[:1], at[1:]); (err != nil) != try.itself {
			t.Errorf("%+v: %v", try, err)
		}
	}
}
