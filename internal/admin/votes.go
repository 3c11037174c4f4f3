package admin

import (
	"fmt"
	"strings"

	"github.com/distcache/distcache/raftstore"
)

// Votes tells in a sentence whether the members can have a leader: how many voters answer, and how many are needed.
func Votes(members []raftstore.Member) string {
	var up, down []string
	for _, m := range members {
		switch {
		case !m.Voter:
		case m.Error == "" && m.Role != raftstore.RoleUnreachable:
			up = append(up, m.Name)
		default:
			down = append(down, m.Name)
		}
	}
	voters, verb := len(up)+len(down), "answer"
	if len(up) == 1 {
		verb = "answers"
	}
	text := fmt.Sprintf("%d of %d voters %s", len(up), voters, verb)
	if len(up) > 0 {
		text += " (" + strings.Join(up, ", ") + ")"
	}
	if need := voters/2 + 1; len(up) >= need {
		text += ", which is enough to elect one"
	} else {
		text += fmt.Sprintf(", and it takes %d", need)
	}
	if len(down) > 0 {
		text += "; no answer from " + strings.Join(down, ", ")
	}
	return text
}
