package auth_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/codec/auth"
)

const password = "open-sesame"

// config signs with the key of testdata and believes its certificate.
func config() auth.Config {
	return auth.Config{Key: "testdata/plain.pem", Certificate: "testdata/cert.pem", Store: "testdata/cert.pem"}
}

func newCodec(t *testing.T, cfg auth.Config) *auth.Codec {
	t.Helper()
	c, err := auth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOpensWhatItSealed(t *testing.T) {
	t.Parallel()
	separators := []byte("a\x00\x01b\x00\x01")
	for _, digest := range []string{"", "sha256", "SHA384", "sha512"} {
		cfg := config()
		cfg.Digest, cfg.Inner = digest, codec.Msgpack{}
		c := newCodec(t, cfg)
		data, err := c.Marshal([]any{separators})
		if err != nil {
			t.Fatal(err)
		}
		inner, body, err := c.Open(data)
		if err != nil {
			t.Fatal(err)
		}
		var got []any
		if err := inner.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		if want := []any{separators}; inner.ContentType() != (codec.Msgpack{}).ContentType() || !cmp.Equal(got, want) {
			t.Errorf("%s: opened %s, %v, want %v", digest, inner.ContentType(), got, want)
		}
	}
}

func TestTheSignerIsCalledAsCeleryCallsIt(t *testing.T) {
	t.Parallel()
	data, err := newCodec(t, config()).Marshal(1)
	if err != nil {
		t.Fatal(err)
	}
	fields, err := base64.StdEncoding.DecodeString(string(data))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(fields), "\x00\x01")
	id, err := base64.StdEncoding.DecodeString(first)
	if want := "CN Example Ltd taskq test 4711"; err != nil || string(id) != want { // from Celery's Certificate.get_id
		t.Errorf("id = %q, %v, want %q", id, err, want)
	}
}

func TestRefusesWhatWasNotSealedLikeThis(t *testing.T) {
	t.Parallel()
	c := newCodec(t, config())
	body := []byte(`[[2, 3], {}, {}]`)
	data, err := c.Seal(codec.JSON{}, body)
	if err != nil {
		t.Fatal(err)
	}
	fields, _ := base64.StdEncoding.DecodeString(string(data))
	changed := func(from, to string) []byte {
		return []byte(base64.StdEncoding.EncodeToString(bytes.Replace(fields, []byte(from), []byte(to), 1)))
	}
	other := newCodec(t, stranger(t, time.Now().Add(time.Hour)))
	foreign, err := other.Seal(codec.JSON{}, body)
	if err != nil {
		t.Fatal(err)
	}
	pickled, err := c.Seal(named{codec.JSON{}, "application/x-python-serialize"}, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		auth *auth.Codec
		data []byte
		want string
	}{
		"nothing":            {c, nil, "it is not made of"},
		"no base64":          {c, []byte("{}"), "it is no base64"},
		"unsigned JSON":      {c, []byte(base64.StdEncoding.EncodeToString(body)), "it is not made of"},
		"another body":       {c, changed("[2, 3]", "[2, 4]"), `the signature is not that of "CN Example Ltd taskq test 4711"`},
		"more at the end":    {c, changed("{}]", "{}] "), "the signature is not that of"},
		"a signer less":      {c, changed("Q0", "QQ"), "there is no certificate of"},
		"another signer":     {c, foreign, `there is no certificate of "Stranger 7" in security_cert_store`},
		"another digest":     {newCodec(t, withDigest("sha384")), data, "the signature is not that of"},
		"pickle, signed":     {c, pickled, "use json or msgpack as serializer in the sender"},
		"cut after signer":   {c, changed(string(fields[bytes.Index(fields, []byte{0, 1})+2:]), ""), "it is not made of"},
		"signature is a dot": {c, changed("\x00\x01", "\x00\x01.."), "its signature is no base64"},
	} {
		inner, got, err := c.auth.Open(c.data)
		if !errors.Is(err, codec.ErrRefused) || !strings.Contains(err.Error(), c.want) || inner != nil || got != nil {
			t.Errorf("%s: opened %s, %v, want the refusal %q", name, got, err, c.want)
		}
	}
	for i := range data {
		flipped := bytes.Clone(data)
		flipped[i] ^= 1
		if _, got, err := c.Open(flipped); err == nil && !bytes.Equal(got, body) {
			t.Errorf("byte %d flipped: opened %s", i, got)
		}
	}
}

func withDigest(name string) auth.Config {
	cfg := config()
	cfg.Digest = name
	return cfg
}

// named is a codec under another content type.
type named struct {
	codec.Codec
	contentType string
}

func (n named) ContentType() string { return n.contentType }

// stranger makes a key with a certificate that nobody knows.
func stranger(t *testing.T, until time.Time) auth.Config {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // short is quick
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Stranger"}, NotBefore: until.Add(-2 * time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cfg := auth.Config{Key: filepath.Join(dir, "key"), Certificate: filepath.Join(dir, "cert.pem"), Store: filepath.Join(dir, "*.pem")}
	for path, block := range map[string]*pem.Block{
		cfg.Key: {Type: "PRIVATE KEY", Bytes: pkcs8}, cfg.Certificate: {Type: "CERTIFICATE", Bytes: der},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cfg
}

func TestTheStoreIsADirectoryOrAPattern(t *testing.T) {
	t.Parallel()
	cfg := stranger(t, time.Now().Add(time.Hour))
	data, err := newCodec(t, cfg).Marshal(1)
	if err != nil {
		t.Fatal(err)
	}
	both := t.TempDir()
	for i, file := range []string{cfg.Certificate, "testdata/cert.pem"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(both, "cert"+string(rune('0'+i))), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{cfg.Store, both, filepath.Join(both, "cert?")} {
		here := config()
		here.Store = path
		var got int
		if err := newCodec(t, here).Unmarshal(data, &got); err != nil || got != 1 {
			t.Errorf("%s: %d, %v", path, got, err)
		}
	}
}

func TestReadsTheFormsOfKeys(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"plain.pem", "pkcs1.pem", "pbes2.pem", "pbes2-sha1.pem"} {
		cfg := config()
		cfg.Key, cfg.Password = "testdata/"+file, password
		data, err := newCodec(t, cfg).Marshal("x")
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := newCodec(t, config()).Unmarshal(data, &got); err != nil || got != "x" {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	t.Parallel()
	expired := stranger(t, time.Now().Add(-time.Minute))
	for want, change := range map[string]func(*auth.Config){
		"auth: security_key is not set; signed messages need":                  func(c *auth.Config) { c.Key = "" },
		"auth: security_certificate is not set":                                func(c *auth.Config) { c.Certificate = "" },
		"auth: security_cert_store is not set":                                 func(c *auth.Config) { c.Store = "" },
		"auth: security_key: open /nowhere/key.pem: ":                          func(c *auth.Config) { c.Key = "/nowhere/key.pem" },
		"auth: security_key: testdata/cert.pem: there is no private key":       func(c *auth.Config) { c.Key = "testdata/cert.pem" },
		"the key is encrypted; set security_key_password":                      func(c *auth.Config) { c.Key = "testdata/pbes2.pem" },
		"security_key_password":                                                func(c *auth.Config) { c.Key, c.Password = "testdata/pbes2.pem", "swordfish" },
		"rewrite it with: openssl pkcs8 -topk8 -v2":                            func(c *auth.Config) { c.Key, c.Password = "testdata/scrypt.pem", password },
		"the form of old OpenSSL; rewrite it with: openssl pkcs8":              func(c *auth.Config) { c.Key, c.Password = "testdata/old.pem", password },
		"auth: security_key: testdata/ec.pem: the key is none of RSA":          func(c *auth.Config) { c.Key = "testdata/ec.pem" },
		"testdata/ec-cert.pem: the certificate is for a key of type ECDSA":     func(c *auth.Config) { c.Certificate = "testdata/ec-cert.pem" },
		"auth: security_certificate: testdata/plain.pem: there is no certific": func(c *auth.Config) { c.Certificate = "testdata/plain.pem" },
		"is not for the key testdata/plain.pem":                                func(c *auth.Config) { c.Certificate = stranger(t, time.Now().Add(time.Hour)).Certificate },
		"auth: security_cert_store: /nowhere/*.pem: there is no certificate":   func(c *auth.Config) { c.Store = "/nowhere/*.pem" },
		"auth: security_cert_store: testdata/README.md: there is no certificat": func(c *auth.Config) {
			c.Store = "testdata/README*"
		},
		"the certificate has expired at 20":                                     func(c *auth.Config) { c.Store = expired.Store },
		"auth: security_certificate: " + expired.Certificate + ": the certific": func(c *auth.Config) { *c = expired },
		`auth: security_digest: "md5" is none of sha256, sha384, sha512`:        func(c *auth.Config) { c.Digest = "md5" },
	} {
		cfg := config()
		change(&cfg)
		c, err := auth.New(cfg)
		if c != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
			continue
		}
		for _, secret := range []string{password, "swordfish", "MII"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%v shows a secret", err)
			}
		}
	}
}

func TestTwoCertificatesOfOneNameAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text, err := os.ReadFile("testdata/cert.pem")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := config()
	cfg.Store = dir
	if _, err := auth.New(cfg); err == nil || !strings.Contains(err.Error(), `there is another certificate of "CN Example Ltd taskq test 4711"`) {
		t.Errorf("error = %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	c, err := auth.New(config())
	if err != nil {
		f.Fatal(err)
	}
	data, err := c.Marshal([]any{2})
	if err != nil {
		f.Fatal(err)
	}
	fields, _ := base64.StdEncoding.DecodeString(string(data))
	f.Add(fields)
	f.Add([]byte("CN Example Ltd taskq test 4711\x00\x01" + strings.Repeat("s", 128) + "\x00\x01application/json\x00\x01utf-8\x00\x01[2]"))
	f.Fuzz(func(t *testing.T, fields []byte) {
		_, body, err := c.Open([]byte(base64.StdEncoding.EncodeToString(fields)))
		if err == nil && string(body) != "[2]" {
			t.Fatalf("opened %q, which nobody signed", body)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	c, err := auth.New(config())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Marshal("x"); err != nil {
			b.Fatal(err)
		}
	}
}
