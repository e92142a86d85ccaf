//go:build !unix

package main

import (
	"os"
	"os/exec"
)

func killGroup(*exec.Cmd) {}

func maxRSS(*os.ProcessState) int64 { return 0 }
