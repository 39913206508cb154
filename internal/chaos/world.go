package chaos

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// World holds the servers, which cases share one after the other. The zero value starts what is needed when it is needed.
type World struct {
	// SQLite stores the visits in a file instead of PostgreSQL.
	SQLite bool
	// Dir is where the files of the cases go.
	Dir string

	single   *instance.RabbitMQ
	cluster  *instance.Cluster
	postgres *instance.PostgreSQL
	redis    *instance.Redis
}

// nodes returns the nodes for a case, all of which run.
func (w *World) nodes(ctx context.Context, c Case) ([]*instance.RabbitMQ, error) {
	var err error
	if c.Cluster {
		if w.cluster == nil {
			if w.cluster, err = instance.StartCluster(ctx, 3); err != nil {
				return nil, err
			}
		}
		return w.cluster.Nodes, nil
	}
	if w.single == nil {
		if w.single, err = instance.StartRabbitMQ(ctx, instance.RabbitMQConfig{}); err != nil {
			return nil, err
		}
	}
	return []*instance.RabbitMQ{w.single}, nil
}

// database returns the URL of where visits go.
func (w *World) database(ctx context.Context) (string, error) {
	if w.SQLite {
		return "sqlite://" + filepath.Join(w.Dir, "visits.db"), nil
	}
	if w.postgres == nil {
		var err error
		if w.postgres, err = instance.StartPostgreSQL(ctx); err != nil {
			return "", err
		}
	}
	return w.postgres.URL(), nil
}

// limits returns the URL of the limit store, which keeps what was written when it is killed.
func (w *World) limits(ctx context.Context) (string, error) {
	if w.redis == nil {
		var err error
		if w.redis, err = instance.StartRedis(ctx, instance.RedisConfig{Durable: true}); err != nil {
			return "", err
		}
	}
	return w.redis.URL(), nil
}

// discard ends the brokers, so that the next case gets new ones: nobody knows what a failed case left.
func (w *World) discard() error {
	var errs []error
	if w.single != nil {
		errs = append(errs, w.single.Close())
	}
	if w.cluster != nil {
		errs = append(errs, w.cluster.Close())
	}
	w.single, w.cluster = nil, nil
	return errors.Join(errs...)
}

// Close ends all servers.
func (w *World) Close() error {
	err := w.discard()
	if w.postgres != nil {
		err = errors.Join(err, w.postgres.Close())
	}
	if w.redis != nil {
		err = errors.Join(err, w.redis.Close())
	}
	if err != nil {
		return fmt.Errorf("chaos: stop servers: %w", err)
	}
	return nil
}
