// Package config finds out what a program is configured with: from flags, the environment, a file and defaults, in this order.
//
// One Table of Keys drives all of it: what a flag and a variable are called, how a text is read, what may be shown, and where a
// value came from. The package knows nothing of tasks, brokers and commands.
package config
