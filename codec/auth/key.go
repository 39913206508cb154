package auth

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// signer signs in the name of a certificate.
type signer struct {
	id     string
	key    *rsa.PrivateKey
	digest digest
}

func (s *signer) sign(body []byte) ([]byte, error) {
	return rsa.SignPSS(rand.Reader, s.key, s.digest.hash, s.digest.of(body), s.digest.options(&s.key.PublicKey))
}

func readSigner(cfg Config, d digest) (signer, error) {
	key, err := readKey(cfg.Key, cfg.Password)
	if err != nil {
		return signer{}, fmt.Errorf("auth: security_key: %w", err)
	}
	cert, err := readCertificate(cfg.Certificate)
	if err != nil {
		return signer{}, fmt.Errorf("auth: security_certificate: %w", err)
	}
	own, err := newSender(cert, d)
	switch {
	case err != nil:
		return signer{}, fmt.Errorf("auth: security_certificate: %s: %w", cfg.Certificate, err)
	case !own.key.Equal(&key.PublicKey):
		return signer{}, fmt.Errorf("auth: security_certificate: %s is not for the key %s", cfg.Certificate, cfg.Key)
	}
	return signer{id: own.id, key: key, digest: d}, nil
}

// readKey reads an RSA key in one of the forms that Python's cryptography reads, but for the encryption of old OpenSSL.
func readKey(file, password string) (*rsa.PrivateKey, error) {
	data, err := os.ReadFile(file) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil, fmt.Errorf("%s: there is no private key in PEM", file)
		}
		key, err := parseKey(block, password)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", file, err)
		case key != nil:
			return key, nil
		}
	}
}

// parseKey returns the key of a block; nil when the block holds something else.
func parseKey(block *pem.Block, password string) (*rsa.PrivateKey, error) {
	der := block.Bytes
	switch block.Type {
	case "RSA PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" {
			return nil, errors.New("the key is encrypted in the form of old OpenSSL; rewrite it with: openssl pkcs8 -topk8")
		}
		key, err := x509.ParsePKCS1PrivateKey(der)
		if err != nil {
			return nil, errors.New("the private key cannot be read") // the cause might show some of it
		}
		return key, nil
	case "ENCRYPTED PRIVATE KEY":
		if password == "" {
			return nil, errors.New("the key is encrypted; set security_key_password")
		}
		var err error
		if der, err = decrypt(der, password); err != nil {
			return nil, err
		}
	case "PRIVATE KEY":
	default:
		return nil, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("the private key cannot be read; if it is encrypted, security_key_password may be wrong")
	}
	rsaKey, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("the key is none of RSA; only RSA is supported")
	}
	return rsaKey, nil
}
