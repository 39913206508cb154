// Package wire turns messages into requests and calls into messages, in Celery's message protocol: versions 1 and 2 are read,
// version 2 is written as Celery 5.6 writes it (celery/docs/internals/protocol.rst, celery/app/amqp.py).
//
// All functions are pure: they read no clock, no configuration and no network, and keep nothing.
package wire
