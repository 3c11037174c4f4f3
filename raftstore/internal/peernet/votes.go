package peernet

import "github.com/hashicorp/raft"

// A voter answers whoever asks for its vote, without regard to its own configuration (Raft thesis, section 4.1): that may
// be older than the candidate's. hashicorp/raft refuses those that have no vote in it. Then two of three voters could not
// elect one of them if the third is gone, only because the one that lags behind has not heard that the other votes too,
// and the one that lags behind can't be elected. What keeps a node that was removed from disturbing the others is that
// they have a leader and more of the log, so that they don't promise it their votes.

// RequestVote asks for a vote. Raft does not look for a candidate without a name in its configuration. One that was not
// promised votes before, since it is to take over at once, has its name looked for.
func (t *Transport) RequestVote(id raft.ServerID, address raft.ServerAddress, req *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	asked := *req
	if !req.LeadershipTransfer {
		asked.ID = nil
	}
	return t.NetworkTransport.RequestVote(id, target(id, address), &asked, resp)
}

// RequestPreVote asks whether there would be a vote. This Raft answers only candidates that it knows for voters: a second
// time it is asked under its own name. It may not know that it votes itself, so that is not done at once.
func (t *Transport) RequestPreVote(id raft.ServerID, address raft.ServerAddress, req *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if err := t.NetworkTransport.RequestPreVote(id, target(id, address), req, resp); err != nil || resp.Granted {
		return err
	}
	again := *req
	again.ID = []byte(id)
	*resp = raft.RequestPreVoteResponse{}
	return t.NetworkTransport.RequestPreVote(id, target(id, address), &again, resp)
}
