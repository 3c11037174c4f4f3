package raftstore

import "time"

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
	stagger       time.Duration // campaignStagger
	look          time.Duration // lookPatience
	redial        time.Duration // leaderRedial
	commit        time.Duration // commitTimeout
	transport     time.Duration // transportTimeout
	trim          time.Duration // trimTick
	promotion     time.Duration // promotionPatience
	agreement     time.Duration // agreementLife
	preVote       time.Duration // preVotePatience
	clock         time.Duration // clockTick
	clockPatience time.Duration // clockPatience
	flush         time.Duration // of the state file; 0: what package state has
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
		stagger:       campaignStagger,
		look:          lookPatience,
		redial:        leaderRedial,
		commit:        commitTimeout,
		transport:     transportTimeout,
		trim:          trimTick,
		promotion:     promotionPatience,
		agreement:     agreementLife,
		preVote:       preVotePatience,
		clock:         clockTick,
		clockPatience: clockPatience,
	}
}
