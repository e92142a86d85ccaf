package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

const (
	// helperPatience is how long a helper may take before somebody is told.
	helperPatience = 5 * time.Second

	// helperDelay is how long a helper is waited for that was interrupted, and a
	// pipe that it left to a program of its own.
	helperDelay = time.Second

	// interruptDelay is how long an interrupt takes at most to get from the
	// terminal to us when it has ended the helper.
	interruptDelay = 100 * time.Millisecond
)

// What helpers say instead of what docker's protocol has no field for.
const (
	helperHasNone = "credentials not found in native keychain"
	tokenUser     = "<token>" // the secret is an identity token
)

// helper is a program that keeps credentials and speaks docker's protocol. What
// it says of its troubles is not shown, since nobody knows what is in it.
type helper struct {
	name     string // without docker-credential- in front
	patience time.Duration
	waiting  func(program string) // called when patience is over, or nil
}

// helperEntry is what goes in and out of a helper.
type helperEntry struct {
	ServerURL string
	Username  string
	Secret    string
}

func (h helper) program() string { return "docker-credential-" + h.name }

func (h helper) get(ctx context.Context, server string) (Credential, error) {
	out, err := h.run(ctx, "get", []byte(server))
	if strings.TrimSpace(string(out)) == helperHasNone {
		return Credential{}, nil
	}
	if err != nil {
		return Credential{}, h.explain(ctx, "get", server, err)
	}
	var entry helperEntry
	if json.Unmarshal(out, &entry) != nil {
		return Credential{}, h.explain(ctx, "get", server, errors.New("the answer is not as docker has it"))
	}
	if entry.Username == tokenUser {
		return Credential{RefreshToken: entry.Secret}, nil
	}
	return Credential{Username: entry.Username, Password: entry.Secret}, nil
}

func (h helper) store(ctx context.Context, server string, cred Credential) error {
	entry := helperEntry{ServerURL: server, Username: cred.Username, Secret: cred.Password}
	if cred.RefreshToken != "" {
		entry.Username, entry.Secret = tokenUser, cred.RefreshToken
	}
	data, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	_, err = h.run(ctx, "store", data)
	return h.explain(ctx, "store", server, err)
}

func (h helper) erase(ctx context.Context, server string) error {
	_, err := h.run(ctx, "erase", []byte(server))
	return h.explain(ctx, "erase", server, err)
}

// run returns what the helper wrote to its standard output, also with an error.
func (h helper) run(ctx context.Context, action string, input []byte) ([]byte, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, h.program(), action)
	cmd.Stdin, cmd.Stdout, cmd.WaitDelay = bytes.NewReader(input), &out, helperDelay
	if h.waiting != nil {
		defer time.AfterFunc(h.patience, func() { h.waiting(h.program()) }).Stop()
	}
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) { // it ended well, and left its pipe to somebody else
		err = nil
	}
	return out.Bytes(), err
}

// explain puts an error of the helper into words. A helper that an interrupt has
// ended may be back before we were told of it.
func (h helper) explain(ctx context.Context, action, server string, err error) error {
	if err == nil {
		return nil
	}
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		_ = sleep(ctx, interruptDelay)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, program := errors.AsType[*exec.Error](err); program {
		return &problem{
			text: err.Error(), cause: err,
			hint: "config.json in $DOCKER_CONFIG, else in ~/.docker, names that helper under credsStore or credHelpers",
		}
	}
	return &problem{
		text: fmt.Sprintf("%s %s: %v", h.program(), action, err), cause: err,
		hint: fmt.Sprintf("to see what it says: echo %s | %s get", server, h.program()),
	}
}
