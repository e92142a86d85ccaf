// Package disk holds what a file system can do beyond package os, each function
// with a fallback where the system cannot, and the file in which a transfer
// gathers its bytes over as many attempts as it takes ([Partial]).
//
// It knows nothing of stores or of models.
package disk

import (
	"crypto/sha256"
	"encoding/hex"
)

// HostID is different on each machine and after each start of it. It is empty
// where that cannot be told: what was not synced cannot be vouched for then.
func HostID() string { return JoinID(machineID(), bootID()) }

// JoinID makes one id of a machine's and a boot's. Nobody can tell from it what
// machine it was.
func JoinID(machine, boot string) string {
	if boot == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(machine + "\n" + boot))
	return hex.EncodeToString(sum[:])[:32]
}
