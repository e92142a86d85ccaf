package template

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"
)

// execution is one run of a template.
type execution struct {
	functions map[string]function
	out       strings.Builder
	vars      []variable // the innermost last
}

type variable struct {
	name  string
	value any
}

// How break and continue travel up to their range.
var (
	errBreak    = errors.New("break outside range")
	errContinue = errors.New("continue outside range")
)

// evalError is an error with the piece of the template that it comes from.
type evalError struct {
	piece string
	err   error
}

func (e *evalError) Error() string { return "at " + e.piece + ": " + e.err.Error() }
func (e *evalError) Unwrap() error { return e.err }

// at says where err comes from, unless it knows better already.
func at(node parse.Node, err error) error {
	if _, ok := errors.AsType[*evalError](err); ok || err == nil {
		return err
	}
	return &evalError{node.String(), err}
}

func (e *execution) walk(dot any, node parse.Node) error {
	switch n := node.(type) {
	case *parse.ListNode:
		for _, child := range n.Nodes {
			if err := e.walk(dot, child); err != nil {
				return err
			}
		}
	case *parse.TextNode:
		e.out.Write(n.Text)
	case *parse.ActionNode:
		return e.action(dot, n)
	case *parse.IfNode:
		return e.branch(dot, n.Pipe, n.List, n.ElseList, false)
	case *parse.WithNode:
		return e.branch(dot, n.Pipe, n.List, n.ElseList, true)
	case *parse.RangeNode:
		return e.loop(dot, n)
	case *parse.BreakNode:
		return errBreak
	case *parse.ContinueNode:
		return errContinue
	}
	return nil
}

// action prints a pipeline, unless it sets variables.
func (e *execution) action(dot any, n *parse.ActionNode) error {
	v, err := e.pipeline(dot, n.Pipe)
	if err != nil || len(n.Pipe.Decl) > 0 {
		return err
	}
	if v == nil {
		v = "<no value>"
	}
	fmt.Fprint(&e.out, v)
	return nil
}

// leave forgets the variables after the first n.
func (e *execution) leave(n int) { e.vars = e.vars[:n] }

// branch is if, and with, which sets dot.
func (e *execution) branch(dot any, pipe *parse.PipeNode, then, otherwise *parse.ListNode, setDot bool) error {
	defer e.leave(len(e.vars))
	v, err := e.pipeline(dot, pipe)
	if err != nil {
		return err
	}
	if !truth(v) {
		return e.optional(dot, otherwise)
	}
	if setDot {
		dot = v
	}
	return e.walk(dot, then)
}

// optional is an else, if there is one.
func (e *execution) optional(dot any, list *parse.ListNode) error {
	if list == nil {
		return nil
	}
	return e.walk(dot, list)
}

// loop is range.
func (e *execution) loop(dot any, n *parse.RangeNode) error {
	defer e.leave(len(e.vars))
	v, err := e.pipeline(dot, n.Pipe)
	if err != nil {
		return err
	}
	items, err := elements(v, len(n.Pipe.Decl))
	if err != nil {
		return at(n.Pipe, err)
	}
	empty := true
	for key, value := range items {
		empty = false
		if err := e.iterate(n, key, value); err == errBreak {
			return nil
		} else if err != nil {
			return err
		}
	}
	if empty {
		return e.optional(dot, n.ElseList)
	}
	return nil
}

// iterate is one round of a range. Its variables are the value, or the key and
// the value.
func (e *execution) iterate(n *parse.RangeNode, key, value any) error {
	defer e.leave(len(e.vars))
	values := []any{key, value}
	decl := n.Pipe.Decl
	for i, v := range values[2-len(decl):] {
		if err := e.set(decl[i].Ident[0], v); err != nil {
			return at(n.Pipe, err)
		}
	}
	if err := e.walk(value, n.List); err != errContinue {
		return err
	}
	return nil
}

// elements is what range goes over: objects in the order of their keys, integers
// from 0 up.
func elements(v any, variables int) (iter.Seq2[any, any], error) {
	switch v := v.(type) {
	case nil:
		return of(0, nil), nil
	case []any:
		return of(len(v), func(i int) (key, value any) { return i, v[i] }), nil
	case map[string]any:
		keys := sortedKeys(v)
		return of(len(v), func(i int) (key, value any) { return keys[i], v[keys[i]] }), nil
	}
	n, ok := integer(v)
	if !ok {
		return nil, fmt.Errorf("range cannot go over %s", kindOf(v))
	}
	if variables > 1 {
		return nil, errors.New("range over a number has one variable")
	}
	return of(int(n), func(i int) (key, value any) { return i, i }), nil
}

// of goes over n elements.
func of(n int, element func(i int) (key, value any)) iter.Seq2[any, any] {
	return func(yield func(key, value any) bool) {
		for i := range n {
			if !yield(element(i)) {
				return
			}
		}
	}
}

func sortedKeys(object map[string]any) []string { return slices.Sorted(maps.Keys(object)) }

// pipeline passes each command's result to the next as its last argument.
func (e *execution) pipeline(dot any, pipe *parse.PipeNode) (value any, err error) {
	var piped []any // none, or the result so far
	for _, cmd := range pipe.Cmds {
		if value, err = e.command(dot, cmd, piped); err != nil {
			return nil, at(cmd, err)
		}
		piped = []any{value}
	}
	for _, v := range pipe.Decl {
		if !pipe.IsAssign {
			e.vars = append(e.vars, variable{v.Ident[0], value})
		} else if err := e.set(v.Ident[0], value); err != nil {
			return nil, at(pipe, err)
		}
	}
	return value, nil
}

// command is a function with its arguments, or a value.
func (e *execution) command(dot any, cmd *parse.CommandNode, piped []any) (any, error) {
	first, args := cmd.Args[0], cmd.Args[1:]
	if name, ok := first.(*parse.IdentifierNode); ok {
		return e.call(dot, name.Ident, args, piped)
	}
	if len(args) > 0 || len(piped) > 0 {
		return nil, fmt.Errorf("%s is no function and takes no arguments", first)
	}
	if first.Type() == parse.NodeNil {
		return nil, errors.New("nil is no command")
	}
	return e.operand(dot, first)
}

// operand is the value of a node that stands alone.
func (e *execution) operand(dot any, node parse.Node) (any, error) {
	switch n := node.(type) {
	case *parse.DotNode:
		return dot, nil
	case *parse.NilNode:
		return nil, nil
	case *parse.BoolNode:
		return n.True, nil
	case *parse.StringNode:
		return n.Text, nil
	case *parse.NumberNode:
		return literal(n)
	case *parse.FieldNode:
		return fields(dot, n.Ident, n)
	case *parse.VariableNode:
		return e.variable(n)
	case *parse.ChainNode:
		v, err := e.operand(dot, n.Node)
		if err != nil {
			return nil, err
		}
		return fields(v, n.Field, n)
	case *parse.PipeNode:
		return e.pipeline(dot, n)
	case *parse.IdentifierNode:
		return e.call(dot, n.Ident, nil, nil)
	}
	return nil, fmt.Errorf("%s is no value", node)
}

// literal is an int if it looks like one, else a float64.
func literal(n *parse.NumberNode) (any, error) {
	if i, err := strconv.ParseInt(n.Text, 0, strconv.IntSize); err == nil {
		return int(i), nil
	}
	if strings.HasPrefix(n.Text, "'") {
		return int(n.Int64), nil
	}
	if n.IsComplex || !strings.ContainsAny(n.Text, ".eEpP") {
		return nil, fmt.Errorf("the number %s is complex or too large", n.Text)
	}
	return n.Float64, nil
}

// fields goes down from v.
func fields(v any, names []string, node parse.Node) (any, error) {
	for _, name := range names {
		object, ok := v.(map[string]any)
		if v == nil {
			return nil, at(node, fmt.Errorf("no field %q in null", name))
		}
		value, found := object[name]
		if !ok || !found {
			return nil, at(node, &NoFieldError{name, v})
		}
		v = value
	}
	return v, nil
}

func (e *execution) variable(n *parse.VariableNode) (any, error) {
	v, err := e.find(n.Ident[0])
	if err != nil {
		return nil, err
	}
	return fields(v.value, n.Ident[1:], n)
}

func (e *execution) set(name string, value any) error {
	v, err := e.find(name)
	if err != nil {
		return err
	}
	v.value = value
	return nil
}

// find is the innermost variable of the name. The parser knows what is declared,
// but not what and and or skip.
func (e *execution) find(name string) (*variable, error) {
	for i := range slices.Backward(e.vars) {
		if e.vars[i].name == name {
			return &e.vars[i], nil
		}
	}
	return nil, fmt.Errorf("undefined variable %s", name)
}

func (e *execution) call(dot any, name string, nodes []parse.Node, piped []any) (any, error) {
	f := e.functions[name]
	if n := len(nodes) + len(piped); n < f.least || f.most > 0 && n > f.most {
		return nil, fmt.Errorf("%s has the wrong number of arguments: %d", name, n)
	}
	if f.call == nil {
		return e.logic(dot, name == "or", nodes, piped)
	}
	args := make([]any, 0, len(nodes)+len(piped))
	for _, node := range nodes {
		v, err := e.operand(dot, node)
		if err != nil {
			return nil, err
		}
		args = append(args, v)
	}
	return f.call(append(args, piped...))
}

// logic is and, or: the first argument whose truth is enough, else the last one.
func (e *execution) logic(dot any, enough bool, nodes []parse.Node, piped []any) (v any, err error) {
	for _, node := range nodes {
		if v, err = e.operand(dot, node); err != nil || truth(v) == enough {
			return v, err
		}
	}
	if len(piped) > 0 {
		return piped[0], nil
	}
	return v, nil
}
