// Command taskq runs and sends tasks: the command line of package cli with the task access_record built in.
package main

import "github.com/seed-399731e2/taskq/cli"

func main() { cli.Main("taskq", nil, cli.Extend(visits())) }
