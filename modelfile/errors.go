package modelfile

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// SyntaxError is one problem of a Modelfile and where it is. Line and Column are
// counted from 1, columns in characters.
type SyntaxError struct {
	File         string
	Line, Column int
	Msg          string
	hint         string
}

// Error says where the problem is and what: Modelfile:3:7: unknown command "MODLE".
func (e *SyntaxError) Error() string {
	if e.Line == 0 { // the text was never written
		return fmt.Sprintf("%s: %s", e.File, e.Msg)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Msg)
}

// Hint is what to do about the problem, or empty.
func (e *SyntaxError) Hint() string { return e.hint }

// NewSyntaxError is a problem at a place of the Modelfile that errors call file.
// The hint says what to do about it and may be empty.
func NewSyntaxError(file string, line, column int, msg, hint string) *SyntaxError {
	return &SyntaxError{File: file, Line: line, Column: column, Msg: msg, hint: hint}
}

// problem is a SyntaxError in a line that the caller fills in.
func problem(column int, msg, hint string) *SyntaxError {
	return &SyntaxError{Column: column, Msg: msg, hint: hint}
}

// quoteShort quotes s for a message, which a long value must not fill.
func quoteShort(s string) string {
	const most = 40
	if utf8.RuneCountInString(s) <= most {
		return strconv.Quote(s)
	}
	return strconv.Quote(string([]rune(s)[:most])) + "..."
}

// didYouMean is a hint at the candidate that word was probably meant to be, or
// otherwise if it is close to none.
func didYouMean(word string, candidates []string, otherwise string) string {
	best, least := "", 3
	if len(word) < 5 {
		least = 2
	}
	for _, c := range candidates {
		if d := distance(word, c, least); d < least {
			best, least = c, d
		}
	}
	if best == "" {
		return otherwise
	}
	return fmt.Sprintf("did you mean %s?", best)
}

// distance is the number of letters to add, drop, change or swap with their
// neighbour to get from a to b. Beyond limit it may be anything from limit up.
func distance(a, b string, limit int) int {
	if max(len(a), len(b))-min(len(a), len(b)) >= limit {
		return limit
	}
	var before, above []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, above, row = above, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(above[j+1]+1, row[j]+1, above[j]+change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
