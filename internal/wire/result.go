package wire

import (
	"errors"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// EncodeResult writes a task's outcome as the JSON document that Celery's rpc and key-value stores keep. The result must be encoded
// in JSON.
func EncodeResult(m task.Meta) ([]byte, error) { return nil, errors.ErrUnsupported }

// DecodeResult reads the document of EncodeResult, also in the shorter form of Celery ≤ 5.6.
func DecodeResult(body []byte) (task.Meta, error) { return task.Meta{}, errors.ErrUnsupported }

// EncodeException encodes the exception that stands for err. Arguments that cannot be encoded become their repr.
func EncodeException(err error) (codec.Raw, error) { return nil, errors.ErrUnsupported }
