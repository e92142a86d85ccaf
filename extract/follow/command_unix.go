//go:build unix

package follow

import (
	"context"
	"os"
	"os/exec"
	"syscall"
)

// shell has a process group of its own: a terminal's ^C is not for it, and kill
// reaches all that it started.
func shell(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

func kill(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGKILL) }
