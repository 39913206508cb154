package pool_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-399731e2/taskq/pool"
)

// A counter stands for a database connection: it must not be used by two jobs at once.
type counter struct{ n int }

func Example() {
	counters := &pool.Resource[*counter]{
		Name:  "counter",
		Open:  func(context.Context) (*counter, error) { fmt.Println("opened"); return &counter{}, nil },
		Close: func(_ context.Context, c *counter) error { fmt.Println("closed at", c.n); return nil },
	}
	p, err := pool.New(pool.Solo, pool.Config{Hooks: []pool.Hook{counters}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	contexts := make(chan context.Context, 3)
	for range 3 {
		err := p.Submit(ctx, func(ctx context.Context) {
			contexts <- ctx
			err := counters.Use(ctx, func(c *counter) error { c.n++; return nil })
			if err != nil {
				fmt.Println(err)
			}
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	if err := p.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	err = counters.Use(<-contexts, func(*counter) error { return nil })
	fmt.Println("after its job:", errors.Is(err, pool.ErrForeignSlot))
	// Output:
	// opened
	// closed at 3
	// after its job: true
}
