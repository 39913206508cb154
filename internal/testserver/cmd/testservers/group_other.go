//go:build !unix

package main

import (
	"os"
	"os/exec"
)

func group(*exec.Cmd) {}

func interruptGroup(leader *os.Process) error { return leader.Kill() }

func killGroup(*os.Process) {}
