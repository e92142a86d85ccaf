// Package modelfile is the language of the Modelfile, the text that says which
// files of a directory go into a model artifact and what the model is.
//
//	# What the model is.
//	NAME qwen3-0.6b
//	PRECISION bfloat16
//	LICENSE Apache-2.0
//
//	# Its files, as globs relative to the directory.
//	CONFIG *.json
//	MODEL "weights of mine/*.safetensors"
//
// [Parse] reads such a text and [File.Format] writes it; whatever is parsed,
// formatted and parsed again says the same, comments included. [Grammar] lists
// the commands.
//
// # Syntax
//
// A line holds one command and its value. Commands are case-insensitive. A line
// whose first character is # is a comment; a # further on is part of a value.
// Lines end with LF or CRLF, and the text is UTF-8.
//
// The value is the rest of the line without the blanks around it. A value that
// starts with a double quote ends at the next one. Inside quotes and outside
// alike, \\ \" \# and a backslash before a space stand for the second character,
// \n \r \t for the control characters, and \xHH for any byte. A backslash before
// one of * ? [ ] { } ! stays where it is: it belongs to the glob. No other
// character may follow a backslash.
//
// The values of file commands are globs as doublestar has them: * ? [a-z]
// {a,b}, and ** for any number of directories. They stand for one path, so a path
// with spaces in it is quoted. [EscapeGlob] turns a file name into a value, and
// [IsLiteral] tells such values from globs.
package modelfile

import (
	"strings"

	"github.com/tareml/tare/modelpack"
)

// File is a Modelfile: its statements in order, with all comments.
type File struct {
	Statements []Statement
	// Trailing holds what follows the last statement, in the form of
	// [Statement.Comments].
	Trailing []string
}

// Statement is one command and its value.
type Statement struct {
	Command string // in upper case
	// Value is the value without quotes and escapes. Escapes of glob
	// metacharacters stay in it.
	Value string
	// Comments holds the lines above the statement: comments with their #, and
	// an empty string for a paragraph break.
	Comments []string
	// Line and Column are where the value starts, both counted from 1 and
	// columns in characters. They are zero in a statement that was not parsed.
	Line, Column int
}

// Pattern is the value of a file command.
type Pattern struct {
	Kind         modelpack.Kind
	Glob         string
	Line, Column int // where the glob starts
}

// Add appends a statement. The comments go above it.
func (f *File) Add(command, value string, comments ...string) {
	f.Statements = append(f.Statements, Statement{
		Command:  strings.ToUpper(command),
		Value:    value,
		Comments: comments,
	})
}

// Value is the value of the first statement with the given command, or empty if
// there is none.
func (f *File) Value(command string) string {
	for _, s := range f.Statements {
		if s.Command == command {
			return s.Value
		}
	}
	return ""
}

// Values lists the values of all statements with the given command.
func (f *File) Values(command string) []string {
	var values []string
	for _, s := range f.Statements {
		if s.Command == command {
			values = append(values, s.Value)
		}
	}
	return values
}

// Patterns lists the values of all file commands, in the order of the file.
func (f *File) Patterns() []Pattern {
	var patterns []Pattern
	for _, s := range f.Statements {
		if r, ok := lookup(s.Command); ok && r.Files {
			patterns = append(patterns, Pattern{Kind: r.Kind, Glob: s.Value, Line: s.Line, Column: s.Column})
		}
	}
	return patterns
}
