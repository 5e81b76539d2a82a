package remote

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"golang.org/x/crypto/ssh"
)

const (
	firstDelay  = 100 * time.Millisecond
	delayFactor = 1.5
	lastDelay   = 5 * time.Second
)

// dial connects to the host, through the proxy where there is one, with as many tries as the connection allows.
func (c *Connection) dial(ctx context.Context) (*ssh.Client, error) {
	config, err := c.clientConfig()
	if err != nil {
		return nil, err
	}
	if c.Proxy == nil {
		return retried(ctx, "Dial", &c.Endpoint, func() (*ssh.Client, error) {
			return c.Endpoint.connect(ctx, (&net.Dialer{}).DialContext, config)
		})
	}
	proxyConfig, err := c.Proxy.clientConfig()
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	proxy, err := retried(ctx, "Dial proxy", &c.Proxy.Endpoint, func() (*ssh.Client, error) {
		return c.Proxy.connect(ctx, (&net.Dialer{}).DialContext, proxyConfig)
	})
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	client, err := retried(ctx, "Dial from proxy", &c.Endpoint, func() (*ssh.Client, error) {
		return c.Endpoint.connect(ctx, proxy.DialContext, config)
	})
	if err != nil {
		_ = proxy.Close()
		return nil, fmt.Errorf("proxy: %w", err)
	}
	go func() {
		_ = client.Wait()
		_ = proxy.Close()
	}()
	return client, nil
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// connect opens the connection and shakes hands, both within the dial's time limit.
func (e *Endpoint) connect(ctx context.Context, dial dialer, config *ssh.ClientConfig) (*ssh.Client, error) {
	if limit := e.dialTimeout(); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	connection, err := dial(ctx, "tcp", e.address())
	if err != nil {
		return nil, err
	}
	// A channel through a proxy has no deadlines, so the limit closes the connection instead.
	stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
	conn, channels, requests, err := ssh.NewClientConn(connection, e.address(), config)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = connection.Close()
		return nil, err
	}
	return ssh.NewClient(conn, channels, requests), nil
}

// retried calls again after each failure until the endpoint's limit of failures is passed.
func retried[T any](ctx context.Context, what string, e *Endpoint, call func() (T, error)) (T, error) {
	limit := orElse(e.DialErrorLimit, defaultDialErrorLimit)
	shown := strconv.Itoa(limit)
	if limit < 0 {
		shown = "inf"
	}
	delay := firstDelay
	for failures := 1; ; failures++ {
		result, err := call()
		if err == nil {
			return result, nil
		}
		if limit >= 0 && failures > limit {
			return result, fmt.Errorf("%s: after %d failed attempts: %w", e.target(), limit, err)
		}
		p.GetLogger(ctx).InfoStatusf("%s %d/%s failed: retrying", what, failures, shown)
		select {
		case <-ctx.Done():
			return result, fmt.Errorf("%s: %w", e.target(), ctx.Err())
		case <-time.After(delay):
		}
		delay = min(time.Duration(float64(delay)*delayFactor), lastDelay)
	}
}
