package modelfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	// maxSize bounds a Modelfile, in bytes.
	maxSize = 16 << 20
	// maxProblems is how many are reported. A file that is no Modelfile at all
	// would have one a line.
	maxProblems = 100
)

// Parse reads a Modelfile. The name is for messages. If anything is wrong with
// the text, the error joins a [*SyntaxError] for each problem, in order, and the
// File has the statements that could be read.
func Parse(name string, r io.Reader) (*File, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(data) > maxSize {
		return nil, fmt.Errorf("%s: larger than the %d MiB that a Modelfile may have", name, maxSize>>20)
	}
	p := parser{name: name, first: make(map[string]int)}
	if err := p.checkText(data); err != nil {
		return nil, err
	}
	for line := range strings.SplitSeq(strings.TrimPrefix(string(data), "\uFEFF"), "\n") {
		p.parseLine(strings.TrimSuffix(line, "\r"))
	}
	p.file.Trailing = trimBreak(p.comments)
	return &p.file, errors.Join(p.problems...)
}

type parser struct {
	name     string
	line     int
	file     File
	comments []string       // since the last statement
	first    map[string]int // where each command was first seen
	problems []error
}

func (p *parser) parseLine(text string) {
	p.line++
	if len(p.problems) > maxProblems {
		return
	}
	s := scanner{rest: text, column: 1}
	s.skipBlanks()
	if i := strings.IndexByte(text, '\r'); i >= 0 {
		column := utf8.RuneCountInString(text[:i]) + 1
		p.report(problem(column, "carriage return inside a line", `end lines with LF or CRLF; write \r in a value`))
		return
	}
	switch {
	case s.rest == "":
		p.paragraph()
	case s.rest[0] == '#':
		p.comments = append(p.comments, cleanComment(s.rest))
	default:
		p.statement(&s)
	}
}

// paragraph notes a blank line, unless it is at the start of the file or follows
// another one.
func (p *parser) paragraph() {
	atStart := len(p.file.Statements) == 0 && len(p.comments) == 0
	if n := len(p.comments); !atStart && (n == 0 || p.comments[n-1] != "") {
		p.comments = append(p.comments, "")
	}
}

func trimBreak(comments []string) []string {
	if n := len(comments); n > 0 && comments[n-1] == "" {
		return comments[:n-1]
	}
	return comments
}

func (p *parser) statement(s *scanner) {
	start := s.column
	word := s.word()
	rule, ok := lookup(strings.ToUpper(word))
	if !ok {
		p.report(unknownCommand(start, word))
		return
	}
	if err := p.checkRepeat(rule, start); err != nil {
		p.report(err)
		return
	}
	s.skipBlanks()
	at := s.column
	value, err := s.value(rule.Files)
	if err == nil {
		err = checkValue(rule, value, at)
	}
	if err != nil {
		p.report(err)
		return
	}
	p.file.Statements = append(p.file.Statements, Statement{
		Command: rule.Command, Value: value, Comments: p.comments, Line: p.line, Column: at,
	})
	p.comments = nil
}

func (p *parser) checkRepeat(rule Rule, column int) *SyntaxError {
	earlier, again := p.first[rule.Command]
	if again && !rule.Repeats {
		return problem(column, fmt.Sprintf("second %s; the first is in line %d", rule.Command, earlier), "remove one of them")
	}
	if !again {
		p.first[rule.Command] = p.line
	}
	return nil
}

func checkValue(rule Rule, value string, column int) *SyntaxError {
	if value == "" {
		return problem(column, rule.Command+" has no value", "")
	}
	if rule.check == nil {
		return nil
	}
	if msg, hint := rule.check(value); msg != "" {
		return problem(column, msg, hint)
	}
	return nil
}

func unknownCommand(column int, word string) *SyntaxError {
	msg := "unknown command " + quoteShort(word)
	command := strings.ToUpper(word)
	switch command {
	case "FROM", "PARAMETER", "TEMPLATE", "SYSTEM", "ADAPTER", "MESSAGE":
		return problem(column, msg, "this may be a Modelfile of Ollama, which is another language")
	}
	commands := make([]string, len(grammar))
	for i, r := range grammar {
		commands[i] = r.Command
	}
	return problem(column, msg, didYouMean(command, commands, ""))
}

func (p *parser) report(e *SyntaxError) {
	if len(p.problems) == maxProblems {
		e = problem(e.Column, "too many problems, no more are listed", "")
	}
	e.File, e.Line = p.name, p.line
	p.problems = append(p.problems, e)
}

// checkText refuses files that are not text at all with a single problem.
func (p *parser) checkText(data []byte) error {
	bad := bytes.IndexByte(data, 0)
	if n := validPrefix(data); n < len(data) && (bad < 0 || n < bad) {
		bad = n
	}
	if bad < 0 {
		return nil
	}
	start := bytes.LastIndexByte(data[:bad], '\n') + 1
	return &SyntaxError{
		File:   p.name,
		Line:   bytes.Count(data[:bad], []byte("\n")) + 1,
		Column: utf8.RuneCount(data[start:bad]) + 1,
		Msg:    "not UTF-8 text",
		hint:   `save it as UTF-8; other bytes in a value are written \xHH`,
	}
}

// validPrefix is how many bytes at the start of data are valid UTF-8.
func validPrefix(data []byte) int {
	if utf8.Valid(data) {
		return len(data)
	}
	n := 0
	for {
		r, size := utf8.DecodeRune(data[n:])
		if r == utf8.RuneError && size <= 1 {
			return n
		}
		n += size
	}
}
