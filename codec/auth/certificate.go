package auth

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// sender is one whose messages are believed.
type sender struct {
	id     string
	key    *rsa.PublicKey
	digest digest
}

// verify checks a signature: RSA-PSS with the longest salt, no other (celery/security/certificate.py).
func (s *sender) verify(body, signature []byte) error {
	return rsa.VerifyPSS(s.key, s.digest.hash, s.digest.of(body), signature, s.digest.options(s.key))
}

// digest is how a body is hashed, and the hash that the signature's mask is made with.
type digest struct{ hash crypto.Hash }

func parseDigest(name string) (digest, error) {
	switch strings.ToLower(name) {
	case "", "sha256":
		return digest{crypto.SHA256}, nil
	case "sha384":
		return digest{crypto.SHA384}, nil
	case "sha512":
		return digest{crypto.SHA512}, nil
	}
	return digest{}, fmt.Errorf("auth: security_digest: %q is none of sha256, sha384, sha512", name)
}

func (d digest) of(body []byte) []byte {
	h := d.hash.New()
	h.Write(body)
	return h.Sum(nil)
}

// options ask for the longest salt that the key has room for (PSS.MAX_LENGTH in Python's cryptography).
func (d digest) options(key *rsa.PublicKey) *rsa.PSSOptions {
	return &rsa.PSSOptions{SaltLength: (key.N.BitLen()+6)/8 - 2 - d.hash.Size(), Hash: d.hash}
}

// store is the certificates of senders, by id.
type store map[string]*sender

// readStore reads the certificates of a directory, or those that a pattern names.
func readStore(path string, d digest) (store, error) {
	pattern := path
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		pattern = filepath.Join(path, "*")
	}
	files, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("auth: security_cert_store: %s: %w", path, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("auth: security_cert_store: %s: there is no certificate; it is a directory of PEM files, or a pattern for their names", path)
	}
	s := make(store, len(files))
	for _, file := range files {
		cert, err := readCertificate(file)
		if err != nil {
			return nil, fmt.Errorf("auth: security_cert_store: %w", err)
		}
		from, err := newSender(cert, d)
		if err != nil {
			return nil, fmt.Errorf("auth: security_cert_store: %s: %w", file, err)
		}
		if s[from.id] != nil {
			return nil, fmt.Errorf("auth: security_cert_store: %s: there is another certificate of %q", file, from.id)
		}
		s[from.id] = from
	}
	return s, nil
}

// readCertificate reads the first certificate of a PEM file.
func readCertificate(file string) (*x509.Certificate, error) {
	data, err := os.ReadFile(file) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil, fmt.Errorf("%s: there is no certificate in PEM", file)
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return cert, nil
	}
}

func newSender(cert *x509.Certificate, d digest) (*sender, error) {
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the certificate is for a key of type %s; only RSA is supported", cert.PublicKeyAlgorithm)
	}
	if !time.Now().Before(cert.NotAfter) {
		return nil, fmt.Errorf("the certificate has expired at %s", cert.NotAfter.UTC().Format(time.RFC3339))
	}
	id, err := identify(cert)
	return &sender{id: id, key: key, digest: d}, err
}

// identify returns how Celery calls the owner: the values of the issuer's attributes and the serial number, with spaces between them.
func identify(cert *x509.Certificate) (string, error) {
	var issuer pkix.RDNSequence
	if _, err := asn1.Unmarshal(cert.RawIssuer, &issuer); err != nil {
		return "", fmt.Errorf("the certificate's issuer: %w", err)
	}
	var words []string
	for _, set := range issuer {
		for _, attribute := range set {
			text, ok := attribute.Value.(string)
			if !ok {
				return "", errors.New("the certificate's issuer has an attribute that is no text")
			}
			words = append(words, text)
		}
	}
	return strings.Join(words, " ") + " " + cert.SerialNumber.String(), nil
}
