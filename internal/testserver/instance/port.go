package instance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports from 32768 up are handed out for outgoing connections: a server restarting there may find its port taken, and a loop
// that probes such a port can connect to itself.
const (
	firstPort = 10000
	lastPort  = 32767
	portTries = 200
)

// FreePorts returns n different ports between 10000 and 32767 on which nobody listens at 127.0.0.1.
func FreePorts(ctx context.Context, n int) ([]int, error) {
	var config net.ListenConfig
	ports := make([]int, 0, n)
	for range portTries {
		if len(ports) == n {
			return ports, nil
		}
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		listener, err := config.Listen(ctx, "tcp", Address(port))
		if err != nil {
			continue
		}
		// held until all are found, so that none is found twice
		defer func() { _ = listener.Close() }()
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("instance: no %d free ports between %d and %d", n, firstPort, lastPort)
}

// Address is "127.0.0.1:port".
func Address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
