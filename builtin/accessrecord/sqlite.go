package accessrecord

import "errors"

func newSQLite(Config) (store, error) { return nil, errors.New("accessrecord: sqlite: not there yet") }
