package remote

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/pulumi/pulumi-go-provider/infer"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

const (
	defaultUser           = "root"
	defaultPort           = 22
	defaultDialErrorLimit = 10
	defaultPerDialTimeout = 15
)

// Endpoint is what a host and the proxy in front of it have in common.
type Endpoint struct {
	User               *string  `pulumi:"user,optional"`
	Password           *string  `pulumi:"password,optional" provider:"secret"`
	Host               *string  `pulumi:"host"`
	Port               *float64 `pulumi:"port,optional"`
	PrivateKey         *string  `pulumi:"privateKey,optional" provider:"secret"`
	PrivateKeyPassword *string  `pulumi:"privateKeyPassword,optional" provider:"secret"`
	AgentSocketPath    *string  `pulumi:"agentSocketPath,optional"`
	DialErrorLimit     *int     `pulumi:"dialErrorLimit,optional"`
	PerDialTimeout     *int     `pulumi:"perDialTimeout,optional"`
	HostKey            *string  `pulumi:"hostKey,optional"`
}

// Connection says how to reach a host.
type Connection struct {
	Endpoint
	Proxy *ProxyConnection `pulumi:"proxy,optional"`
}

// ProxyConnection says how to reach the host in front of it.
type ProxyConnection struct{ Endpoint }

// Annotate gives the schema its defaults.
func (c *Connection) Annotate(a infer.Annotator) { c.annotate(a) }

// Annotate gives the schema its defaults.
func (c *ProxyConnection) Annotate(a infer.Annotator) { c.annotate(a) }

func (e *Endpoint) annotate(a infer.Annotator) {
	a.SetDefault(&e.User, defaultUser)
	a.SetDefault(&e.Port, defaultPort)
	a.SetDefault(&e.DialErrorLimit, defaultDialErrorLimit)
	a.SetDefault(&e.PerDialTimeout, defaultPerDialTimeout)
	a.Describe(&e.DialErrorLimit, "How many failed dials are tried again; -1 has no limit.")
	a.Describe(&e.PerDialTimeout, "Seconds that one dial may take; 0 has no limit.")
	a.Describe(&e.PrivateKey, "The text of an SSH key; it comes before the password.")
	a.Describe(&e.HostKey, "The key that the host must show (type and base64); any key will do where none is given.")
}

func orElse[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}

func (e *Endpoint) user() string { return orElse(e.User, defaultUser) }

func (e *Endpoint) address() string {
	return net.JoinHostPort(orElse(e.Host, ""), strconv.Itoa(int(orElse(e.Port, defaultPort))))
}

// target is how messages name the host.
func (e *Endpoint) target() string { return e.user() + "@" + e.address() }

func (e *Endpoint) dialTimeout() time.Duration {
	return time.Duration(orElse(e.PerDialTimeout, defaultPerDialTimeout)) * time.Second
}

// clientConfig offers, in this order: the private key, the password (also to keyboard-interactive), the agent.
func (e *Endpoint) clientConfig() (*ssh.ClientConfig, error) {
	config := &ssh.ClientConfig{User: e.user(), Timeout: e.dialTimeout()}
	if err := e.pinHostKey(config); err != nil {
		return nil, err
	}
	if e.PrivateKey != nil {
		signer, err := e.signer()
		if err != nil {
			return nil, fmt.Errorf("%s: private key: %w", e.target(), err)
		}
		config.Auth = append(config.Auth, ssh.PublicKeys(signer))
	}
	if e.Password != nil {
		password := *e.Password
		config.Auth = append(config.Auth, ssh.Password(password), ssh.KeyboardInteractive(
			func(_, _ string, questions []string, _ []bool) ([]string, error) {
				answers := make([]string, len(questions))
				for i := range answers {
					answers[i] = password
				}
				return answers, nil
			}))
	}
	if socket := orElse(e.AgentSocketPath, os.Getenv("SSH_AUTH_SOCK")); socket != "" {
		connection, err := net.Dial("unix", socket)
		if err != nil {
			return nil, fmt.Errorf("SSH agent: %w", err)
		}
		config.Auth = append(config.Auth, ssh.PublicKeysCallback(agent.NewClient(connection).Signers))
	}
	return config, nil
}

func (e *Endpoint) signer() (ssh.Signer, error) {
	if e.PrivateKeyPassword != nil {
		return ssh.ParsePrivateKeyWithPassphrase([]byte(*e.PrivateKey), []byte(*e.PrivateKeyPassword))
	}
	return ssh.ParsePrivateKey([]byte(*e.PrivateKey))
}

var errHostKey = errors.New("ssh: host key mismatch")

// pinHostKey asks for the pinned key's algorithm only, and says both fingerprints where another key answers.
func (e *Endpoint) pinHostKey(config *ssh.ClientConfig) error {
	if e.HostKey == nil {
		config.HostKeyCallback = ssh.InsecureIgnoreHostKey() //nolint:gosec // as the released plugin: none given, none checked
		return nil
	}
	pinned, _, _, _, err := ssh.ParseAuthorizedKey([]byte(*e.HostKey))
	if err != nil {
		return fmt.Errorf("%s: failed to parse host key: %w", e.target(), err)
	}
	config.HostKeyAlgorithms = []string{pinned.Type()}
	config.HostKeyCallback = func(_ string, _ net.Addr, shown ssh.PublicKey) error {
		if string(shown.Marshal()) == string(pinned.Marshal()) {
			return nil
		}
		return fmt.Errorf("%w: expected %s, got %s", errHostKey,
			ssh.FingerprintSHA256(pinned), ssh.FingerprintSHA256(shown))
	}
	return nil
}
