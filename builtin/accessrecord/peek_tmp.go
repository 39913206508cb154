package accessrecord

import "github.com/jackc/pgx/v5"

func peek(*pgx.Conn) bool { return true }
