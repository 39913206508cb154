package accessrecord

import "errors"

func newPostgres(Config) (store, error) { return nil, errors.New("accessrecord: postgres: not there yet") }
