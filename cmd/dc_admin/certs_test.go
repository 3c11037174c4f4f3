package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

func TestCerts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	if got := says(t, "certs", "init", dir, "-name", "prod"); !strings.Contains(got, "is the CA of the cluster prod") {
		t.Errorf("init says %q", got)
	}
	got := says(t, "certs", "new", dir, "node", "n1", "127.0.0.1", "n1.example", "-days", "30")
	if want := "ca/n1: distcache://prod/node/n1, for n1.example, 127.0.0.1, until "; !strings.Contains(got, want) {
		t.Errorf("new says %q, want %q", got, want)
	}
	var shown certificate
	if err := json.Unmarshal([]byte(says(t, "certs", "show", filepath.Join(dir, "n1"), "-json")), &shown); err != nil {
		t.Fatal(err)
	}
	if shown.Identity != "distcache://prod/node/n1" || shown.Days != 29 || len(shown.Hosts) != 2 || len(shown.Serial) < 20 {
		t.Errorf("show says %+v", shown)
	}
	first := shown.Serial
	says(t, "certs", "new", dir, "node", "n1", "-force")
	if err := json.Unmarshal([]byte(says(t, "certs", "show", filepath.Join(dir, "n1"), "-json")), &shown); err != nil || shown.Serial == first {
		t.Errorf("after new -force: %+v, %v", shown, err)
	}
}

func TestCertsMistakes(t *testing.T) {
	dir := t.TempDir()
	says(t, "certs", "init", dir)
	says(t, "certs", "new", dir, "client", "web1")
	mistakes(t, map[string]string{
		"certs":                       "certs takes init DIR, new DIR ROLE NAME, or show DIR",
		"certs sign " + dir:           `certs takes init, new or show, not "sign"`,
		"certs init " + dir + " more": `certs init takes one directory, and was given "more" too`,
		"certs new " + dir:            "certs new takes a directory, a role (node, client, admin or monitor) and a name",
		"certs show " + dir + " more": `certs show takes one directory, and was given "more" too`,
		"certs show x -discard":       "-discard goes with join only",
	})
	for args, want := range map[string]string{
		"certs init " + dir:                          "file already exists",
		"certs new " + dir + " client web1":          "-force replaces it.",
		"certs new " + dir + " boss web1":            `a role is node, client, admin or monitor, not "boss"`,
		"certs new " + dir + " node ../n1":           "a name is",
		"certs new " + dir + "/web1 node n1":         "there is no CA in",
		"certs show " + dir:                          "cert.pem: no such file",
		"certs new " + dir + " node n2 n2.example:1": "a host is a DNS name or an IP address without port",
	} {
		if got := fails(t, run(t.Context(), strings.Fields(args), nil, nil)); !strings.Contains(got, want) {
			t.Errorf("%s: %s\nwant %s", args, got, want)
		}
	}
}
