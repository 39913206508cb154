package cli

import (
	"errors"
	"strings"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/cli/config"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/codec/auth"
)

// messageSettings say how messages are written, and which are read.
func messageSettings() []config.Key {
	return []config.Key{
		{
			Name: "task_serializer", Default: "json", Check: checkSerializer, Aliases: []string{"CELERY_TASK_SERIALIZER"}, Hint: "name",
			Help: "how calls are encoded: json, msgpack or auth (signed)",
		},
		{
			Name: "task_compression", Check: checkCompression, Aliases: []string{"CELERY_TASK_COMPRESSION"}, Hint: "name",
			Help: "how calls are compressed: zlib (which Celery calls gzip), zstd or none",
		},
		{
			Name: "accept_content", Kind: config.List, Default: "json", Check: checkSerializer, Aliases: []string{"CELERY_ACCEPT_CONTENT"},
			Help: "serializers of the messages that are read, with commas between them; all others are refused",
		},
		{
			Name: "security_key", Aliases: []string{"CELERY_SECURITY_KEY"}, Hint: "path",
			Help: "RSA key that signs, in PEM, for the serializer auth",
		},
		{
			Name: "security_key_password", Secret: true, Aliases: []string{"CELERY_SECURITY_KEY_PASSWORD"},
			Help: "password of that key, when it is encrypted",
		},
		{
			Name: "security_certificate", Aliases: []string{"CELERY_SECURITY_CERTIFICATE"}, Hint: "path",
			Help: "certificate of that key, in PEM",
		},
		{
			Name: "security_cert_store", Aliases: []string{"CELERY_SECURITY_CERT_STORE"}, Hint: "path",
			Help: "directory with the certificates of those who may send, or a pattern for their names",
		},
		{
			Name: "security_digest", Default: "sha256", Choices: []string{"sha256", "sha384", "sha512"},
			Aliases: []string{"CELERY_SECURITY_DIGEST"}, Hint: "name", Help: "hash of the signatures: sha256, sha384 or sha512",
		},
		{
			Name: "limits.body", Kind: config.Int, Default: "67108864",
			Help: "bytes that the body of a message may have",
		},
		{
			Name: "limits.unpacked", Kind: config.Int, Default: "67108864",
			Help: "bytes that the body of a message may have when it is unpacked",
		},
		{
			Name: "limits.depth", Kind: config.Int, Default: "128",
			Help: "how deep lists and objects in a message may be nested",
		},
	}
}

// checkSerializer takes one name or several with commas between them.
func checkSerializer(text string) error {
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name == "" || name == "auth" || name == (*auth.Codec)(nil).ContentType() {
			continue
		}
		if _, err := codec.ByName(name); err != nil {
			return plainCodec(err)
		}
	}
	return nil
}

func checkCompression(name string) error {
	_, err := codec.ParseCompression(name)
	return plainCodec(err)
}

func plainCodec(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.TrimPrefix(err.Error(), "codec: "))
}

// formats puts the settings of messages into the configuration of an application.
func (s *Session) formats(cfg *taskq.Config) {
	cfg.Call.Serializer = s.Config.Text("task_serializer")
	cfg.Call.Compression = s.Config.Text("task_compression")
	cfg.Accept = s.Config.List("accept_content")
	cfg.Auth = auth.Config{
		Key: s.Config.Text("security_key"), Password: s.Config.Text("security_key_password"),
		Certificate: s.Config.Text("security_certificate"), Store: s.Config.Text("security_cert_store"),
		Digest: s.Config.Text("security_digest"),
	}
	cfg.Limits = codec.Limits{
		BodyBytes: s.Config.Int("limits.body"), UnpackedBytes: s.Config.Int("limits.unpacked"), Depth: s.Config.Int("limits.depth"),
	}
}
