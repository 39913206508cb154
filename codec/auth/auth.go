// Package auth signs and verifies message bodies as Celery's serializer "auth" does (celery/security/serialization.py).
//
// Only the body is signed: the arguments, and what is to happen after the task. The headers, among them the task's name and id, are
// not, as in Celery.
package auth

import (
	"bytes"
	"encoding/base64"
	"fmt"

	"github.com/seed-399731e2/taskq/codec"
)

// Config says who signs, and whom to believe. All paths must be given, as in Celery: what is verified must be signed again when it is
// retried.
type Config struct {
	// Key is the path of the RSA private key in PEM (security_key), Password what it is encrypted with, if it is.
	Key, Password string
	// Certificate is the path of the key's certificate in PEM (security_certificate).
	Certificate string
	// Store is a directory with the certificates of those who may send, or a pattern such as "/etc/ssl/senders/*.pem"
	// (security_cert_store).
	Store string
	// Digest is sha256, sha384 or sha512, the same for all; "" means sha256 (security_digest).
	Digest string
	// Inner encodes what is signed; nil means JSON.
	Inner codec.Codec
}

// Codec is the serializer "auth": signed messages. It is safe for concurrent use.
type Codec struct {
	inner  codec.Codec
	signer signer
	store  store
	digest digest
}

var _ codec.Envelope = (*Codec)(nil)

// New reads the keys and certificates. An expired certificate is an error, as in Celery; one that expires later goes on to be believed
// until the process ends. Errors never hold what the files do.
func New(cfg Config) (*Codec, error) {
	for _, need := range []struct{ setting, value string }{
		{"security_key", cfg.Key}, {"security_certificate", cfg.Certificate}, {"security_cert_store", cfg.Store},
	} {
		if need.value == "" {
			return nil, fmt.Errorf("auth: %s is not set; signed messages need security_key, security_certificate and security_cert_store", need.setting)
		}
	}
	c := &Codec{inner: cfg.Inner}
	if c.inner == nil {
		c.inner = codec.JSON{}
	}
	var err error
	if c.digest, err = parseDigest(cfg.Digest); err != nil {
		return nil, err
	}
	if c.signer, err = readSigner(cfg, c.digest); err != nil {
		return nil, err
	}
	if c.store, err = readStore(cfg.Store, c.digest); err != nil {
		return nil, err
	}
	return c, nil
}

// ContentType implements codec.Codec.
func (*Codec) ContentType() string { return "application/data" }

// ContentEncoding implements codec.Codec.
func (*Codec) ContentEncoding() string { return "utf-8" }

// Inner implements codec.Envelope.
func (c *Codec) Inner() codec.Codec { return c.inner }

// Marshal implements codec.Codec.
func (c *Codec) Marshal(v any) ([]byte, error) {
	body, err := c.inner.Marshal(v)
	if err != nil {
		return nil, err
	}
	return c.Seal(c.inner, body)
}

// Unmarshal implements codec.Codec.
func (c *Codec) Unmarshal(data []byte, dst any) error {
	inner, body, err := c.Open(data)
	if err != nil {
		return err
	}
	return inner.Unmarshal(body, dst)
}

// separator stands between the fields of a signed message.
const separator = "\x00\x01"

// Seal implements codec.Envelope. It writes the form of Celery ≥ 5.5, which older ones do not read.
func (c *Codec) Seal(inner codec.Codec, body []byte) ([]byte, error) {
	signature, err := c.signer.sign(body)
	if err != nil {
		return nil, fmt.Errorf("auth: sign: %w", err)
	}
	fields := bytes.Join([][]byte{
		encode([]byte(c.signer.id)), encode(signature), []byte(inner.ContentType()), []byte(inner.ContentEncoding()), body,
	}, []byte(separator))
	return encode(fields), nil
}

func encode(data []byte) []byte { return base64.StdEncoding.AppendEncode(nil, data) }

// Open implements codec.Envelope. It reads both forms: signer and signature in base64 (Celery ≥ 5.5), and as they are.
func (c *Codec) Open(data []byte) (codec.Codec, []byte, error) {
	fields, err := base64.StdEncoding.AppendDecode(nil, data)
	if err != nil {
		return nil, nil, refuse("it is no base64")
	}
	p, err := c.split(fields)
	if err != nil {
		return nil, nil, err
	}
	if err := p.sender.verify(p.body, p.signature); err != nil {
		return nil, nil, refuse("the signature is not that of %q for this message", p.sender.id)
	}
	inner, err := codec.ByName(p.contentType)
	if err != nil {
		return nil, nil, refuse("%q in a signed message; use json or msgpack as serializer in the sender", p.contentType)
	}
	return inner, p.body, nil
}

// refuse is the error for a message that cannot be trusted.
func refuse(format string, args ...any) error {
	return fmt.Errorf("codec: %w: signed message: "+format, append([]any{codec.ErrRefused}, args...)...)
}

// parts are the fields of a signed message.
type parts struct {
	sender      *sender
	signature   []byte
	contentType string
	body        []byte
}

// split takes the fields apart. The first one tells the form: it is a known signer's id, in base64 or as it is.
func (c *Codec) split(fields []byte) (parts, error) {
	first, rest, ok := bytes.Cut(fields, []byte(separator))
	if !ok {
		return parts{}, errFields()
	}
	id, err := base64.StdEncoding.AppendDecode(nil, first)
	if err != nil { // an id as it is has a space
		if from := c.store[string(first)]; from != nil {
			return splitOld(from, rest)
		}
		return parts{}, refuse("there is no certificate of %q in security_cert_store", clip(first))
	}
	if from := c.store[string(id)]; from != nil {
		return splitNew(from, rest)
	}
	return parts{}, refuse("there is no certificate of %q in security_cert_store", clip(id))
}

// splitNew reads signature, content type, content encoding and body.
func splitNew(from *sender, rest []byte) (parts, error) {
	f := bytes.SplitN(rest, []byte(separator), 4)
	if len(f) != 4 {
		return parts{}, errFields()
	}
	signature, err := base64.StdEncoding.AppendDecode(nil, f[0])
	if err != nil {
		return parts{}, refuse("its signature is no base64")
	}
	return parts{sender: from, signature: signature, contentType: string(f[1]), body: f[3]}, nil
}

// splitOld reads the same from the form of Celery ≤ 5.4, where the key's size says where the signature ends: it may contain the separator.
func splitOld(from *sender, rest []byte) (parts, error) {
	size := from.key.Size()
	if len(rest) < size || !bytes.HasPrefix(rest[size:], []byte(separator)) {
		return parts{}, errFields()
	}
	f := bytes.SplitN(rest[size+len(separator):], []byte(separator), 3)
	if len(f) != 3 {
		return parts{}, errFields()
	}
	return parts{sender: from, signature: rest[:size], contentType: string(f[0]), body: f[2]}, nil
}

func errFields() error {
	return refuse("it is not made of signer, signature, content type, content encoding and body")
}

func clip(text []byte) string {
	if len(text) > 80 {
		return string(text[:80]) + "…"
	}
	return string(text)
}
