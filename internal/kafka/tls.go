package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/weir-cdc/weir/internal/config"
)

// TLS says whom to trust and who we are. Texts and files are PEM.
type TLS struct {
	TrustFile, TrustText string
	KeyFile              string // private key and certificate chain in one file
	ChainText            string
	KeyText              config.SecretText
	// AnyHost accepts a certificate that does not name the host that was
	// dialled. It must still be signed by a trusted one.
	AnyHost bool
}

func newTLS(v *config.Values) (*TLS, error) {
	t := &TLS{
		TrustFile: v.String("ssl.truststore.location"), TrustText: v.String("ssl.truststore.certificates"),
		KeyFile: v.String("ssl.keystore.location"), ChainText: v.String("ssl.keystore.certificate.chain"), KeyText: v.Secret("ssl.keystore.key"),
	}
	// Kafka's way of switching it off is an empty text, which Has calls unset.
	if algorithm, set := v.Under("ssl.endpoint.identification.")["algorithm"]; set {
		t.AnyHost = !strings.EqualFold(strings.TrimSpace(algorithm), "https")
	}
	var errs []error
	for _, both := range [][2]string{{"ssl.truststore.location", "ssl.truststore.certificates"}, {"ssl.keystore.location", "ssl.keystore.certificate.chain"}} {
		if v.String(both[0]) != "" && v.String(both[1]) != "" {
			errs = append(errs, v.Error(both[1], "either this or "+both[0]))
		}
	}
	if (t.ChainText == "") != !t.KeyText.IsSet() {
		errs = append(errs, v.Error("ssl.keystore.key", "both ssl.keystore.key and ssl.keystore.certificate.chain"))
	}
	return t, errors.Join(errs...)
}

// config reads the files and builds what Go's TLS takes.
func (t *TLS) config() (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.TrustFile != "" || t.TrustText != "" {
		pool, err := t.roots()
		if err != nil {
			return nil, err
		}
		out.RootCAs = pool
	}
	cert, err := t.certificate()
	if err != nil {
		return nil, err
	}
	if cert != nil {
		out.Certificates = []tls.Certificate{*cert}
	}
	if t.AnyHost {
		out.InsecureSkipVerify = true // only of the name: the chain is verified here
		out.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(s, out.RootCAs) }
	}
	return out, nil
}

func verifyChain(s tls.ConnectionState, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("verifying the broker's certificate: it sent none")
	}
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}

func (t *TLS) roots() (*x509.CertPool, error) {
	text := []byte(t.TrustText)
	if t.TrustFile != "" {
		var err error
		if text, err = readPEM("ssl.truststore.location", t.TrustFile); err != nil {
			return nil, err
		}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, config.NewError("ssl.truststore.location", t.TrustFile, "PEM with at least one CERTIFICATE block")
	}
	return pool, nil
}

func (t *TLS) certificate() (*tls.Certificate, error) {
	chain, key := []byte(t.ChainText), []byte(t.KeyText.Reveal())
	if t.KeyFile != "" {
		text, err := readPEM("ssl.keystore.location", t.KeyFile)
		if err != nil {
			return nil, err
		}
		chain, key = text, text
	}
	if len(chain) == 0 {
		return nil, nil
	}
	if strings.Contains(string(key), "ENCRYPTED") {
		return nil, config.NewError("ssl.keystore.key", "an encrypted key", "a key that is not encrypted: openssl pkcs8 -in key.pem -out plain.pem")
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, config.NewError("ssl.keystore.location", t.KeyFile, "PEM with a private key and its certificate chain ("+err.Error()+")")
	}
	return &cert, nil
}

// readPEM reads a file that must be PEM; Java's binary stores get the advice
// that helps.
func readPEM(property, file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", property, err)
	}
	if b, _ := pem.Decode(text); b == nil {
		return nil, config.NewError(property, file, "a PEM file; convert a Java store with: keytool -importkeystore … -deststoretype PKCS12, then openssl pkcs12 -nodes -in store.p12 -out store.pem")
	}
	return text, nil
}
