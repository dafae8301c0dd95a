package servers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificates are PEM files of a certificate authority of our own and of one certificate that it signed, good for
// servers on 127.0.0.1 and localhost and for clients.
type Certificates struct {
	CAFile   string
	CertFile string
	KeyFile  string // PKCS #8, without a password
}

// Certificates returns the set's certificates, making them first if there are none. They hold for ten years.
func (l *Local) Certificates(ctx context.Context) (Certificates, error) {
	dir := filepath.Join(l.data, "certificates")
	files := Certificates{
		CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"),
	}
	unlock, err := lockFile(ctx, dir+".lock", nil)
	if err != nil {
		return Certificates{}, err
	}
	defer unlock()
	if exists(dir) {
		return files, nil
	}
	partial := dir + ".partial"
	if err := makeFolder(partial); err != nil {
		return Certificates{}, err
	}
	if err := writeCertificates(partial); err != nil {
		return Certificates{}, err
	}
	return files, os.Rename(partial, dir)
}

func writeCertificates(dir string) error {
	authority := template(1, "Weir test authority")
	authority.IsCA, authority.BasicConstraintsValid, authority.KeyUsage = true, true, x509.KeyUsageCertSign
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := sign(filepath.Join(dir, "ca.pem"), authority, authority, authorityKey, authorityKey); err != nil {
		return err
	}
	leaf := template(2, "localhost")
	leaf.DNSNames, leaf.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := sign(filepath.Join(dir, "cert.pem"), leaf, authority, leafKey, authorityKey); err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, "key.pem"), "PRIVATE KEY", der)
}

func template(serial int64, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
	}
}

func sign(path string, certificate, issuer *x509.Certificate, key, issuerKey *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, certificate, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		return err
	}
	return writePEM(path, "CERTIFICATE", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644)
}
