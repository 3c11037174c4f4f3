package raftstore

import (
	"time"

	"github.com/distcache/distcache/raftstore/internal/raftnode"
)

// timing are the times that are nobody's setting. A simulation has shorter ones, all on the scale of its heartbeats.
type timing struct {
	caretaker     time.Duration // caretakerTick
	doubt         time.Duration // doubtAfter
	join          time.Duration // joinPause
	joinPatience  time.Duration // joinPatience
	dry           time.Duration // dryPatience
	found         time.Duration // foundPause
	foundPatience time.Duration // foundPatience
	hello         time.Duration // helloTimeout
	change        time.Duration // changeTimeout, for whoever asks for a change
	round         time.Duration // roundPatience
	promotion     time.Duration // promotionPatience
	agreement     time.Duration // agreementLife
	clock         time.Duration // clockTick
	clockPatience time.Duration // clockPatience
	flush         time.Duration // of the state file; 0: what package state has
	raft          raftnode.Timing
}

func defaultTiming() timing {
	return timing{
		caretaker:     caretakerTick,
		doubt:         doubtAfter,
		join:          joinPause,
		joinPatience:  joinPatience,
		dry:           dryPatience,
		found:         foundPause,
		foundPatience: foundPatience,
		hello:         helloTimeout,
		change:        changeTimeout,
		round:         roundPatience,
		promotion:     promotionPatience,
		agreement:     agreementLife,
		clock:         clockTick,
		clockPatience: clockPatience,
	}
}
