package config

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestCannotListenWhereNoDirectoryIs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run", "distcache")
	at := addresses(t, "UNIX:"+dir+"/scache")[0]
	_, err := at.Listen(t.Context())
	var hint *HintError
	if err := CannotListen("-listen", at, err); !errors.As(err, &hint) || !strings.Contains(hint.Hint, "install -d "+dir) {
		t.Errorf("got %v", err)
	}
}
