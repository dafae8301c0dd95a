package servers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"

	"github.com/twmb/franz-go/pkg/kgo"
)

// KafkaSecurity describes a broker that lets clients in by TLS and SASL only.
type KafkaSecurity struct {
	// Bootstrap is the address for each security.protocol: SSL, SASL_PLAINTEXT, SASL_SSL. The SASL listeners take PLAIN,
	// SCRAM-SHA-256, SCRAM-SHA-512, and OAUTHBEARER with unsigned tokens (alg none) as RFC 7515 appendix A.5 has them.
	Bootstrap      map[string]string
	CAFile         string // PEM; signed the broker's certificate
	CertFile       string // PEM; a certificate that the broker accepts from clients, who need none
	KeyFile        string // PEM; its key
	User, Password string // for PLAIN and SCRAM
}

const (
	kafkaUser     = "weir"
	kafkaPassword = "weir-secret"
)

// kafkaSecureProperties are the listeners: %[1]s is the PEM of certificate and key, %[2]s of the authority, then the
// ports of the controller, SSL, SASL_PLAINTEXT, SASL_SSL, and of the broker itself; then user and password.
const kafkaSecureProperties = `listeners=CONTROLLER://127.0.0.1:%[3]d,SSL://127.0.0.1:%[4]d,SASL_PLAINTEXT://127.0.0.1:%[5]d,SASL_SSL://127.0.0.1:%[6]d,INTERNAL://127.0.0.1:%[7]d
advertised.listeners=SSL://127.0.0.1:%[4]d,SASL_PLAINTEXT://127.0.0.1:%[5]d,SASL_SSL://127.0.0.1:%[6]d,INTERNAL://127.0.0.1:%[7]d
listener.security.protocol.map=CONTROLLER:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,INTERNAL:PLAINTEXT
inter.broker.listener.name=INTERNAL
ssl.keystore.type=PEM
ssl.keystore.location=%[1]s
ssl.truststore.type=PEM
ssl.truststore.location=%[2]s
ssl.client.auth=requested
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
`

// kafkaJAAS are the credentials of one SASL listener: %[1]s is its name in lower case, %[2]s the user, %[3]s the password.
const kafkaJAAS = `listener.name.%[1]s.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_%[2]s="%[3]s";
listener.name.%[1]s.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.%[1]s.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.%[1]s.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="%[2]s";
`

// kafkaSecureRecipe runs a broker with TLS and SASL. Ports: SSL, controller, SASL_PLAINTEXT, SASL_SSL, the broker's own.
func kafkaSecureRecipe(l *Local) recipe {
	var server kafkaServer
	return recipe{
		fetch: func(ctx context.Context) (err error) {
			server, err = l.kafka(ctx)
			return err
		},
		command: func(ctx context.Context, n *node) (*exec.Cmd, error) {
			listeners, err := l.kafkaSecureListeners(ctx, n)
			if err != nil {
				return nil, err
			}
			scram := "[name=" + kafkaUser + ",password=" + kafkaPassword + "]"
			return server.cmd(ctx, n, listeners, "512m",
				"--add-scram", "SCRAM-SHA-256="+scram, "--add-scram", "SCRAM-SHA-512="+scram)
		},
		probe: l.probeKafkaSecure,
	}
}

// kafkaSecureListeners renders the listeners and writes the key store, certificate and key in one file.
func (l *Local) kafkaSecureListeners(ctx context.Context, n *node) (string, error) {
	files, err := l.Certificates(ctx)
	if err != nil {
		return "", err
	}
	certificate, err := os.ReadFile(files.CertFile)
	if err != nil {
		return "", err
	}
	key, err := os.ReadFile(files.KeyFile)
	if err != nil {
		return "", err
	}
	store := n.path("keystore.pem")
	if err := os.WriteFile(store, append(key, certificate...), 0o600); err != nil {
		return "", err
	}
	text := fmt.Sprintf(kafkaSecureProperties, store, files.CAFile, n.ports[1], n.ports[0], n.ports[2], n.ports[3], n.ports[4])
	for _, listener := range []string{"sasl_plaintext", "sasl_ssl"} {
		text += fmt.Sprintf(kafkaJAAS, listener, kafkaUser, kafkaPassword)
	}
	return text, nil
}

// kafkaSecurity describes the running node.
func (l *Local) kafkaSecurity(ctx context.Context, n *node) (KafkaSecurity, error) {
	files, err := l.Certificates(ctx)
	return KafkaSecurity{
		Bootstrap: map[string]string{
			"SSL": address(n.ports[0]), "SASL_PLAINTEXT": address(n.ports[2]), "SASL_SSL": address(n.ports[3]),
		},
		CAFile: files.CAFile, CertFile: files.CertFile, KeyFile: files.KeyFile, User: kafkaUser, Password: kafkaPassword,
	}, err
}

// probeKafkaSecure asks through the TLS listener.
func (l *Local) probeKafkaSecure(ctx context.Context, n *node) error {
	security, err := l.kafkaSecurity(ctx, n)
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(security.CAFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	return pingKafka(ctx, kgo.SeedBrokers(security.Bootstrap["SSL"]), kgo.DialTLSConfig(&tls.Config{RootCAs: roots}))
}
