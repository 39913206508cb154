// Command website is a small site that records its visits: a middleware sends the task access_record for each page, and a worker
// (`taskq worker`) stores it. With TASKQ_BROKER_URL unset both use the embedded store.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/builtin/accessrecord"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8000")); err != nil {
		slog.Error("site stopped", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, addr string) (err error) {
	app, err := taskq.New(taskq.Config{BrokerURL: os.Getenv("TASKQ_BROKER_URL")})
	if err != nil {
		return err
	}
	visits, err := accessrecord.NewMiddleware(app, accessrecord.MiddlewareConfig{Logger: slog.Default()})
	if err != nil {
		return err
	}
	defer func() { // what still waits is sent, for 5 s at the most
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, visits.Close(closing), app.Close(closing))
	}()
	site := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "This is %s\n", r.URL.Path) })
	server := &http.Server{Handler: visits.Wrap(site), ReadHeaderTimeout: 5 * time.Second}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	slog.Info("site opened", "url", "http://"+listener.Addr().String())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return server.Shutdown(context.WithoutCancel(ctx)) // waits for the requests under way
	}
}
