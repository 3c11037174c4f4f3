package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/raftstore"
)

func sealKeyCommand() *command {
	return &command{
		name:     "seal-key",
		operands: "FILE [-epoch DURATION] [-add | -drop RING | -show]",
		summary:  "make the key under which session data are sealed, without a server",
		about: `Makes a file for dc_server's -seal. Copy it to all nodes, over a way that nobody listens to. Session
data are then encrypted wherever nodes keep or send them, each under the key of the epoch in which it
expires. When an epoch is over, the nodes forget its key: whoever takes disks and key file can open
what is live, and nothing that expired in an earlier epoch.

With -add, FILE gets a new ring of keys beside those that it has; dc_server reads it on SIGHUP and seals
new sessions with it. -drop RING removes a ring, when the sessions that it has sealed have expired.
-show shows the rings and their fingerprints, which are the same on all nodes.

If all copies of the file are lost, so are the sessions, and nothing else.`,
		flags: []string{"epoch", "add", "drop", "show"},
		run:   sealKey,
	}
}

func sealKey(_ context.Context, c *call) error {
	if len(c.operands) != 1 {
		return config.Usagef("seal-key takes one file")
	}
	path, asked := c.operands[0], 0
	for _, is := range []bool{c.add, c.show, c.drop != ""} {
		if is {
			asked++
		}
	}
	if asked > 1 {
		return config.Usagef("seal-key takes one of -add, -drop and -show")
	}
	var err error
	switch {
	case c.show:
	case c.drop != "":
		err = raftstore.DropSealRing(path, c.drop)
	case c.add:
		_, err = raftstore.AddSealRing(path, c.epoch)
	default:
		_, err = raftstore.CreateSealKey(path, c.epoch)
		if errors.Is(err, os.ErrExist) {
			return config.Hint(err, "-add adds a new ring to it.")
		}
	}
	if err != nil {
		return err
	}
	return c.showRings(path)
}

// A sealRing is the JSON output for a ring.
type sealRing struct {
	Ring        string    `json:"ring"`
	Fingerprint string    `json:"fingerprint"`
	Epoch       float64   `json:"epoch_seconds"`
	Until       time.Time `json:"epoch_ends"`
	Seals       bool      `json:"seals"` // new sessions
}

func (c *call) showRings(path string) error {
	rings, err := raftstore.ShowSealKey(path)
	if err != nil {
		return err
	}
	list := []sealRing{}
	for i, r := range rings {
		list = append(list, sealRing{r.ID.String(), r.Fingerprint, r.Epoch.Seconds(), r.Until, i == len(rings)-1})
	}
	if c.json {
		return c.print(list)
	}
	tw := tabwriter.NewWriter(c.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(tw, "RING\tFINGERPRINT\tEPOCH\tUNTIL\t")
	for _, r := range list {
		what := "opens only"
		if r.Seals {
			what = "seals"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", r.Ring, r.Fingerprint, time.Duration(r.Epoch)*time.Second,
			r.Until.Format(time.RFC3339), what)
	}
	return tw.Flush()
}
