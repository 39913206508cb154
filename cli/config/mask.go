package config

import "github.com/seed-399731e2/taskq/internal/mask"

// MaskURL hides the passwords of a URL, or of several with semicolons between them, in the manner of Celery:
// amqp://user:**@host. It also works on texts that are not valid URLs, on parameters named like passwords, and on the
// "password=x" of a PostgreSQL connection string.
func MaskURL(text string) string { return mask.URL(text) }
