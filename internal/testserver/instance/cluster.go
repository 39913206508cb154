package instance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Cluster is a private RabbitMQ cluster. Its nodes can be killed and started again one by one.
type Cluster struct {
	Nodes []*RabbitMQ
}

// StartCluster starts a cluster of n nodes, which share users, queues and exchanges; that takes about ten seconds for each node.
func StartCluster(ctx context.Context, n int) (*Cluster, error) {
	first, err := StartRabbitMQ(ctx, RabbitMQConfig{})
	if err != nil {
		return nil, err
	}
	c := &Cluster{Nodes: []*RabbitMQ{first}}
	for len(c.Nodes) < n {
		node, err := join(ctx, first)
		if node != nil {
			c.Nodes = append(c.Nodes, node)
		}
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// join starts one more node and makes it a member of first's cluster. They find each other by one port mapper and trust each
// other by one cookie.
func join(ctx context.Context, first *RabbitMQ) (*RabbitMQ, error) {
	r := &RabbitMQ{password: first.password}
	if err := r.find(); err != nil {
		return nil, err
	}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	r.home, r.epmdPort, r.mapped = first.home, first.epmdPort, true
	if err := r.Start(ctx); err != nil {
		return r, err
	}
	_, err := r.Eval(ctx, fmt.Sprintf("ok = rabbit:stop(), ok = rabbit_mnesia:join_cluster('%s', disc), ok = rabbit:start()", first.Node()))
	if err != nil {
		return r, fmt.Errorf("instance: join cluster: %w", err)
	}
	return r, nil
}

// URL is the addresses of all nodes, separated by semicolons.
func (c *Cluster) URL() string {
	urls := make([]string, len(c.Nodes))
	for i, node := range c.Nodes {
		urls[i] = node.URL()
	}
	return strings.Join(urls, ";")
}

// Close ends all nodes and removes their files.
func (c *Cluster) Close() error {
	var errs []error
	for _, node := range slices.Backward(c.Nodes) { // the first one's port mapper is everybody's
		errs = append(errs, node.Close())
	}
	return errors.Join(errs...)
}
