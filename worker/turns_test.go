package worker

import "testing"

// sequence is who has the next n turns, as letters.
func (t *turns) sequence(n int, may ...bool) string {
	var s []byte
	for range n {
		i := t.next(may)
		if i < 0 {
			s = append(s, '-')
			continue
		}
		t.took(i, may)
		s = append(s, "abc"[i])
	}
	return string(s)
}

func TestTurnsAreSpreadEvenlyByWeight(t *testing.T) {
	t.Parallel()
	weighted := &turns{weights: []int{5, 1, 1}, credit: make([]int, 3)}
	for _, tt := range []struct {
		may  []bool
		want string
	}{
		{[]bool{true, true, true}, "aabacaaaabacaa"},
		{[]bool{false, true, true}, "bcbcbc"},
		{[]bool{false, false, true}, "ccc"},
		{[]bool{false, false, false}, "--"},
		{[]bool{true, true, false}, "aaabaaaaab"},
	} {
		if got := weighted.sequence(len(tt.want), tt.may...); got != tt.want {
			t.Errorf("%v: turns = %s, want %s", tt.may, got, tt.want)
		}
	}
}

func TestInTheStrictOrderTheFirstComesFirst(t *testing.T) {
	t.Parallel()
	strict := &turns{credit: make([]int, 3)}
	if got := strict.sequence(3, true, true, true); got != "aaa" {
		t.Errorf("turns = %s, want aaa", got)
	}
	if got := strict.sequence(3, false, true, true); got != "bbb" {
		t.Errorf("turns = %s, want bbb", got)
	}
}
