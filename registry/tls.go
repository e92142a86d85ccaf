package registry

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
)

// TLSFiles says whom a client trusts and how it is known itself. Files hold PEM.
type TLSFiles struct {
	// CA are files with the certificates of authorities that are trusted besides
	// those of the system.
	CA []string

	// Client are files with a certificate by which servers know us, each with the
	// file that has its key. An empty second name means that the first file has
	// both.
	Client [][2]string

	// SkipVerify accepts any certificate.
	SkipVerify bool
}

// none says that f changes nothing.
func (f TLSFiles) none() bool { return len(f.CA) == 0 && len(f.Client) == 0 && !f.SkipVerify }

// config is base with f on top.
func (f TLSFiles) config(base *tls.Config) (*tls.Config, error) {
	config := base.Clone()
	config.InsecureSkipVerify = config.InsecureSkipVerify || f.SkipVerify
	if err := f.trust(config); err != nil {
		return nil, err
	}
	config.Certificates = slices.Clone(config.Certificates)
	for _, pair := range f.Client {
		cert, err := loadPair(pair[0], pair[1])
		if err != nil {
			return nil, err
		}
		config.Certificates = append(config.Certificates, cert)
	}
	return config, nil
}

// trust adds the authorities of f to those of config.
func (f TLSFiles) trust(config *tls.Config) error {
	if len(f.CA) == 0 {
		return nil
	}
	roots, err := rootsOf(config)
	if err != nil {
		return err
	}
	for _, path := range f.CA {
		data, err := os.ReadFile(path)
		if err != nil {
			return hinted(fmt.Errorf("reading the CA certificates: %w", err), "check the path of the CA file")
		}
		if !roots.AppendCertsFromPEM(data) {
			return hinted(fmt.Errorf("reading the CA certificates: %s has none", path),
				"a CA file is PEM: it has -----BEGIN CERTIFICATE----- in it")
		}
	}
	config.RootCAs = roots
	return nil
}

// rootsOf is a pool of its own with whom config trusts so far.
func rootsOf(config *tls.Config) (*x509.CertPool, error) {
	if config.RootCAs != nil {
		return config.RootCAs.Clone(), nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("reading the certificates that the system trusts: %w", err)
	}
	return roots, nil
}

func loadPair(certFile, keyFile string) (tls.Certificate, error) {
	if keyFile == "" {
		keyFile = certFile
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return tls.Certificate{}, hinted(fmt.Errorf("reading the client certificate %s with the key %s: %w", certFile, keyFile, err),
			"both are PEM files, and the key has no passphrase and belongs to the certificate")
	}
	return cert, nil
}
