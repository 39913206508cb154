package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // the default of RFC 8018 when a file names no other
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"hash"
)

// The structures of an encrypted key: PKCS #8 (RFC 5958) with PBES2 (RFC 8018).
type (
	encryptedKey struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbes2 struct{ Derivation, Cipher pkix.AlgorithmIdentifier }
	kdf   struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
)

// maxIterations is far above what anybody uses: a file must not keep the process busy for ever.
const maxIterations = 100 * 1000 * 1000

// decrypt returns the key as plain PKCS #8.
func decrypt(der []byte, password string) ([]byte, error) {
	unknown := errors.New("the key is encrypted in a way that is not known here; rewrite it with: openssl pkcs8 -topk8 -v2 aes-256-cbc")
	var key encryptedKey
	var scheme pbes2
	var d kdf
	var iv []byte
	if !parse(der, &key) || key.Algorithm.Algorithm.String() != "1.2.840.113549.1.5.13" || !parse(key.Algorithm.Parameters.FullBytes, &scheme) ||
		scheme.Derivation.Algorithm.String() != "1.2.840.113549.1.5.12" || !parse(scheme.Derivation.Parameters.FullBytes, &d) ||
		!parse(scheme.Cipher.Parameters.FullBytes, &iv) {
		return nil, unknown
	}
	newHash, size := prf(d.PRF.Algorithm), keySize(scheme.Cipher.Algorithm)
	if newHash == nil || size == 0 || len(iv) != aes.BlockSize || d.Iterations < 1 || d.Iterations > maxIterations {
		return nil, unknown
	}
	secret, err := pbkdf2.Key(newHash, password, d.Salt, d.Iterations, size)
	if err != nil {
		return nil, unknown
	}
	plain, ok := decryptCBC(secret, iv, key.Data)
	if !ok {
		return nil, errors.New("security_key_password is not that of the key")
	}
	return plain, nil
}

func parse(der []byte, v any) bool {
	rest, err := asn1.Unmarshal(der, v)
	return err == nil && len(rest) == 0
}

// prf returns the hash of an HMAC, nil for one that is not known.
func prf(id asn1.ObjectIdentifier) func() hash.Hash {
	switch id.String() {
	case "", "1.2.840.113549.2.7":
		return sha1.New
	case "1.2.840.113549.2.9":
		return sha256.New
	case "1.2.840.113549.2.11":
		return sha512.New
	}
	return nil
}

// keySize returns the size of the key of AES in CBC mode, 0 for another cipher.
func keySize(id asn1.ObjectIdentifier) int {
	switch id.String() {
	case "2.16.840.1.101.3.4.1.2":
		return 16
	case "2.16.840.1.101.3.4.1.22":
		return 24
	case "2.16.840.1.101.3.4.1.42":
		return 32
	}
	return 0
}

// decryptCBC is not ok when the padding is none, which a wrong password makes likely.
func decryptCBC(secret, iv, data []byte) (plain []byte, ok bool) {
	block, err := aes.NewCipher(secret)
	if err != nil || len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return nil, false
	}
	plain = make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	padding := int(plain[len(plain)-1])
	if padding == 0 || padding > aes.BlockSize {
		return nil, false
	}
	end := len(plain) - padding
	for _, b := range plain[end:] {
		if int(b) != padding {
			return nil, false
		}
	}
	return plain[:end], true
}
