package amqp

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

// lines returns an inbox with two lines.
func lines() (in *inbox, a, b *line) {
	in = newInbox()
	return in, newLine(in, "a"), newLine(in, "b")
}

// drainTags takes everything that waits.
func drainTags(in *inbox) (tags []uint64) {
	for a := in.next(); a != nil; a = in.next() {
		tags = append(tags, a.tag)
	}
	return tags
}

func TestLinesAreServedInTurnAndEachInOrder(t *testing.T) {
	t.Parallel()
	in, a, b := lines()
	for tag := range uint64(4) {
		a.put(&arrival{tag: tag})
	}
	b.put(&arrival{tag: 10})
	b.put(&arrival{tag: 11})
	if got, want := drainTags(in), []uint64{0, 10, 1, 11, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("taken: %v, want %v", got, want)
	}
}

func TestWhatNobodyTookIsGivenBackOnce(t *testing.T) {
	t.Parallel()
	in, a, b := lines()
	for tag := range uint64(3) {
		a.put(&arrival{tag: tag})
	}
	b.put(&arrival{tag: 10})
	in.next()
	back := a.clear()
	a.put(&arrival{tag: 3}) // too late
	if len(back) != 2 || back[0].tag != 1 || back[1].tag != 2 {
		t.Errorf("given back: %v, want those with the tags 1 and 2", back)
	}
	if got := drainTags(in); !slices.Equal(got, []uint64{10}) {
		t.Errorf("left: %v, want the other line's", got)
	}
	if again := a.clear(); len(again) > 0 {
		t.Errorf("given back again: %v", again)
	}
}

func TestAClosedLineIsOverWhenAllOfItIsTaken(t *testing.T) {
	t.Parallel()
	in, a, b := lines()
	a.put(&arrival{tag: 1})
	a.close()
	a.close()
	select {
	case <-a.over:
		t.Error("a line is over in which something waits")
	default:
	}
	in.next()
	<-a.over
	b.close()
	<-b.over
}

func TestEveryoneWhoWaitsGetsOne(t *testing.T) {
	t.Parallel()
	const n = 8
	in, a, _ := lines()
	got := make(chan uint64, n)
	for range n {
		go func() {
			one, err := in.take(t.Context(), nil)
			if err != nil {
				t.Error(err)
				return
			}
			got <- one.tag
		}()
	}
	for tag := range uint64(n) {
		a.put(&arrival{tag: tag})
	}
	for range n {
		<-got
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := in.take(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("take = %v, want that it was cancelled", err)
	}
}

func TestALineThatIsNeverEmptyStaysSmall(t *testing.T) {
	t.Parallel()
	in, a, _ := lines()
	const waiting = 10
	for tag := range uint64(10_000) {
		a.put(&arrival{tag: tag})
		if tag >= waiting {
			in.next()
		}
	}
	if got := cap(a.waiting); got > 8*waiting {
		t.Errorf("%d places for %d that wait", got, waiting)
	}
}

func TestALineTellsOnceThatSomethingCame(t *testing.T) {
	t.Parallel()
	_, a, _ := lines()
	some := make(chan struct{}, 1)
	a.some = some
	if a.listen() || a.hasHeard() {
		t.Error("something came to a new line")
	}
	for range 2 {
		a.put(&arrival{})
		<-some
		a.put(&arrival{})
		select {
		case <-some:
			t.Error("it was told of the second one")
		default:
		}
		if !a.hasHeard() || !a.listen() || a.hasHeard() {
			t.Error("what came is not heard of once")
		}
	}
}

func TestEveryoneWhoWaitsGetsOneOfWhatComes(t *testing.T) {
	t.Parallel()
	for name, come := range map[string]func(a, b *line){
		"one after the other": func(a, _ *line) {
			a.put(&arrival{tag: 1})
			synctest.Wait()
			a.put(&arrival{tag: 2})
		},
		"at once":               func(a, _ *line) { a.put(&arrival{tag: 1}); a.put(&arrival{tag: 2}) },
		"at once, in two lines": func(a, b *line) { a.put(&arrival{tag: 1}); b.put(&arrival{tag: 2}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				in, a, b := lines()
				taken := make(chan uint64, 2)
				for range cap(taken) {
					go func() {
						if a, err := in.take(t.Context(), nil); err == nil {
							taken <- a.tag
						}
					}()
				}
				synctest.Wait()
				come(a, b)
				synctest.Wait()
				if len(taken) != cap(taken) {
					t.Errorf("%d of %d who waited got something", len(taken), cap(taken))
				}
			})
		})
	}
}

// Two who have just seen that nothing waits may find one signal for two arrivals.
func TestWhoTakesOneTellsOfTheNext(t *testing.T) {
	t.Parallel()
	in, a, _ := lines()
	a.put(&arrival{tag: 1})
	a.put(&arrival{tag: 2})
	<-in.ready
	in.next()
	select {
	case <-in.ready:
	default:
		t.Error("something waits, and nobody is told")
	}
}
