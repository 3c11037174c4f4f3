package config

import (
	"reflect"
	"strings"
	"testing"

	"github.com/distcache/distcache/wire"
)

func TestAddresses(t *testing.T) {
	tests := []struct {
		name string
		args []string
		env  string
		file string
		want []string
	}{
		{name: "repeated, a path as it is meant", args: []string{"-listen", "UNIX:/a, b", "-listen=IP:9001"}, want: []string{"UNIX:/a, b", "IP:9001"}},
		{name: "with commas", args: []string{"-listen", "IP:a:9001,ip:b:9001, UNIX:/a,b,UNIX:/c"}, want: []string{"IP:a:9001", "IP:b:9001", "UNIX:/a,b", "UNIX:/c"}},
		{name: "environment", env: "IP:9001, UNIX:/a\nUNIX:/b", want: []string{"IP:9001", "UNIX:/a", "UNIX:/b"}},
		{name: "file", file: "listen IP:9001,IP:9002\nlisten = UNIX:/a\n", want: []string{"IP:9001", "IP:9002", "UNIX:/a"}},
		{name: "only the first source counts", args: []string{"-listen", "IP:9001"}, env: "IP:9002", want: []string{"IP:9001"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("DC_TOOL_LISTEN", test.env)
			args := test.args
			if test.file != "" {
				args = append(args, "-config", writeFile(t, test.file))
			}
			var list []wire.Address
			set := New("dc_tool", "")
			set.Addresses(&list, "listen", "where")
			set.File()
			if _, err := set.Parse(args, nil); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range list {
				got = append(got, a.String())
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAddress(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "UNIX:/default"},
		{[]string{"-connect", "IP:localhost:1"}, "IP:localhost:1"},
	} {
		var at wire.Address
		set := New("dc_tool", "")
		if err := set.Address(&at, "UNIX:/default", "connect", "where"); err != nil {
			t.Fatal(err)
		}
		if _, err := set.Parse(test.args, nil); err != nil || at.String() != test.want {
			t.Errorf("%q: got %v, %v", test.args, at, err)
		}
	}
}

func TestAddressMistakes(t *testing.T) {
	const takes = "takes an address such as IP:127.0.0.1:9001, IP:9001, TLS:host:9001 or UNIX:/path: "
	var at wire.Address
	var list []wire.Address
	set := New("dc_tool", "")
	if err := set.Address(&at, "nowhere", "connect", "where"); err == nil {
		t.Error("a wrong default is no error")
	}
	if err := set.Address(&at, "IP:9001", "connect", "where"); err != nil {
		t.Fatal(err)
	}
	set.Addresses(&list, "listen", "where")
	for _, flag := range []string{"-connect", "-listen"} {
		_, err := set.Parse([]string{flag, "9001"}, nil)
		if err == nil || !strings.HasPrefix(err.Error(), flag+" "+takes) || !strings.Contains(err.Error(), `"9001"`) {
			t.Errorf("got %v", err)
		}
	}
}
