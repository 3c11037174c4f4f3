package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

func TestSealKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	rings := func(args ...string) (list []sealRing) {
		t.Helper()
		if err := json.Unmarshal([]byte(says(t, append([]string{"-json", "seal-key", path}, args...)...)), &list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	made := rings("-epoch", "5m")
	if len(made) != 1 || made[0].Epoch != 300 || !made[0].Seals || len(made[0].Ring) != 16 || len(made[0].Fingerprint) != 16 {
		t.Fatalf("made %+v", made)
	}
	both := rings("-add")
	if len(both) != 2 || both[0].Ring != made[0].Ring || both[0].Seals || !both[1].Seals || both[1].Epoch != 3600 {
		t.Errorf("with another ring: %+v", both)
	}
	if left := rings("-drop", made[0].Ring); len(left) != 1 || left[0] != both[1] {
		t.Errorf("without the first: %+v", left)
	}
	text := says(t, "seal-key", path, "-show")
	if !strings.HasPrefix(text, "RING ") || !strings.Contains(text, both[1].Fingerprint) || !strings.Contains(text, "seals") {
		t.Errorf("shown: %s", text)
	}
}

func TestSealKeyMistakes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	mistakes(t, map[string]string{
		"seal-key":                   "seal-key takes one file",
		"seal-key a b":               "seal-key takes one file",
		"seal-key a -add -show":      "seal-key takes one of -add, -drop and -show",
		"seal-key a -show -drop 1":   "seal-key takes one of -add, -drop and -show",
		"seal-key a -epoch tomorrow": `-epoch takes a duration above 0 such as 2s or 500ms, not "tomorrow"`,
	})
	says(t, "seal-key", path)
	for args, want := range map[string]string{
		"seal-key " + path:                                       "-add adds a new ring to it.",
		"seal-key " + path + "2 -epoch 5s":                       "an epoch takes 1m0s to 24h0m0s, in whole seconds, not 5s",
		"seal-key " + path + " -drop x":                          "is not the ID of a ring",
		"seal-key " + path + "2 -show":                           "no such file",
		"seal-key " + path + " -drop " + strings.Repeat("0", 16): "has no ring 0000000000000000",
	} {
		if got := fails(t, run(t.Context(), strings.Fields(args), nil, nil)); !strings.Contains(got, want) {
			t.Errorf("%s: %s\nwant %s", args, got, want)
		}
	}
}
