package config

import "testing"

func TestDataDir(t *testing.T) {
	for env, want := range map[string]string{
		"":                      "./distcache-data",
		"/var/lib/a":            "/var/lib/a",
		"/var/lib/a:/var/lib/b": "/var/lib/a",
	} {
		t.Setenv("STATE_DIRECTORY", env)
		if got := DataDir(); got != want {
			t.Errorf("%q: got %s, want %s", env, got, want)
		}
	}
}

func TestAdminAddress(t *testing.T) {
	for dir, want := range map[string]string{
		"./distcache-data": "UNIX:./distcache-data/admin.sock",
		"../x/":            "UNIX:./../x/admin.sock",
		"/var/lib/a":       "UNIX:/var/lib/a/admin.sock",
	} {
		if got := AdminAddress(dir); got != want {
			t.Errorf("%q: got %s, want %s", dir, got, want)
		}
	}
}
