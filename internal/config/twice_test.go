package config

import (
	"testing"

	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/wire"
)

func addresses(t *testing.T, words ...string) (list []wire.Address) {
	t.Helper()
	for _, word := range words {
		list = append(list, testutil.Address(t, word))
	}
	return list
}

func TestNotTwice(t *testing.T) {
	for _, test := range []struct {
		listen, admin []string
		want          string
	}{
		{[]string{"IP:9001", "UNIX:/a", "UNIX:/b"}, []string{"IP:9002"}, ""},
		{[]string{"IP:127.0.0.1:0", "IP:127.0.0.1:0"}, nil, ""},
		{[]string{"IPv4:9001", "IPv6:9001"}, nil, ""},
		{[]string{"IPv6:9001", "IP:127.0.0.1:9001"}, nil, ""},
		{[]string{"IP:0.0.0.0:9001", "IP:[::1]:9001"}, nil, ""},
		{[]string{"IP:127.0.0.1:9001", "IP:127.0.0.2:9001"}, nil, ""},
		{[]string{"FD:3", "FD:4"}, nil, ""},
		{[]string{"FD:3", "FD:3"}, nil, "-listen FD:3 is given twice"},
		{[]string{"IP:9001", "IP::9001"}, nil, "-listen IP:9001 is given twice"},
		{[]string{"UNIX:/a", "UNIX:/a"}, nil, "-listen UNIX:/a is given twice"},
		{[]string{"UNIX:/a"}, []string{"UNIX:/x/../a"}, "-listen UNIX:/a and -admin UNIX:/x/../a are the same place: each needs one of its own"},
		{[]string{"IP:localhost:1"}, []string{"IP:LOCALHOST:1"}, "-listen IP:localhost:1 and -admin IP:LOCALHOST:1 are the same place: each needs one of its own"},
		{[]string{"IP:127.0.0.1:1"}, []string{"IP:1"}, "-listen IP:127.0.0.1:1 and -admin IP:1 are the same place: each needs one of its own"},
		{[]string{"IP:[::]:1"}, []string{"IP:127.0.0.1:1"}, "-listen IP:[::]:1 and -admin IP:127.0.0.1:1 are the same place: each needs one of its own"},
	} {
		got := ""
		if err := NotTwice(Places("-listen", addresses(t, test.listen...)), Places("-admin", addresses(t, test.admin...))); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%v and %v: got %q, want %q", test.listen, test.admin, got, test.want)
		}
	}
}

func TestNoneTwice(t *testing.T) {
	if err := NoneTwice("-server", addresses(t, "IP:a:1", "IP:b:1", "IP:a:2")); err != nil {
		t.Error(err)
	}
	if err := NoneTwice("-server", addresses(t, "IP:a:1", "IP:b:1", "IP:a:1")); err == nil || err.Error() != "-server IP:a:1 is given twice" {
		t.Errorf("got %v", err)
	}
}
