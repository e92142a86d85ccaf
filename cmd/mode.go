package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"

	"github.com/tareml/tare/extract"
)

// fileMode is a flag for the permission bits of files, in octal as for chmod.
// Zero means that none was asked for, and cannot be said.
type fileMode fs.FileMode

// Set implements pflag.Value.
func (m *fileMode) Set(s string) error {
	mode, err := strconv.ParseUint(s, 8, 64)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return errors.New("a mode is an octal number, such as 640")
	case err != nil || mode > 0o777:
		return errors.New("permission bits only, up to 777: nothing of an artifact is made setuid, setgid or sticky")
	case mode&0o400 == 0:
		return errors.New("the owner has to be let read (400): the next run compares what is there")
	}
	*m = fileMode(mode)
	return nil
}

// String implements pflag.Value.
func (m *fileMode) String() string {
	if *m == 0 {
		return ""
	}
	return fmt.Sprintf("%04o", uint32(*m))
}

// Type implements pflag.Value.
func (m *fileMode) Type() string { return "mode" }

// owner is the flag that says who gets the files: UID, UID:GID or :GID, in numbers.
type owner struct {
	ids *extract.Owner // nil: whoever extracts them
}

// Set implements pflag.Value.
func (o *owner) Set(s string) error {
	uid, gid, both := strings.Cut(s, ":")
	ids := extract.Owner{UID: -1, GID: -1}
	var err error
	if uid != "" || !both {
		if ids.UID, err = parseID(uid); err != nil {
			return err
		}
	}
	if both {
		if ids.GID, err = parseID(gid); err != nil {
			return err
		}
	}
	o.ids = &ids
	return nil
}

// parseID reads the number of a user or group. The last one that fits into 32
// bits means no change to chown, and nobody has it.
func parseID(s string) (int, error) {
	id, err := strconv.ParseUint(s, 10, 32)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && id == math.MaxUint32:
		return 0, fmt.Errorf("%s is more than a user or group ID can be", s)
	case s == "":
		return 0, errors.New("an owner is UID, UID:GID or :GID")
	case err != nil:
		return 0, withHint(fmt.Errorf("%q is not a number: an owner is UID, UID:GID or :GID", s),
			"names are not looked up, since a container's own passwd and group say nothing about the volume's; `id -u NAME` and `id -g NAME` tell the numbers")
	}
	return int(id), nil
}

// String implements pflag.Value.
func (o *owner) String() string {
	switch {
	case o.ids == nil:
		return ""
	case o.ids.UID < 0:
		return fmt.Sprintf(":%d", o.ids.GID)
	case o.ids.GID < 0:
		return strconv.Itoa(o.ids.UID)
	}
	return fmt.Sprintf("%d:%d", o.ids.UID, o.ids.GID)
}

// Type implements pflag.Value.
func (o *owner) Type() string { return "uid[:gid]" }
