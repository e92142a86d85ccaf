// Package template prints JSON values through templates in the syntax of
// text/template.
//
// It has the standard parser and an evaluator of its own. text/template looks up
// methods by name, which keeps the linker from dropping any exported method of
// any type in the binary: 3 MB of them. JSON values have no methods.
//
// There are fields, variables, pipelines, if, with, range, break, continue,
// comments, trim markers, and the functions and, eq, ge, gt, index, json, le,
// len, lt, ne, not, or, print, printf, println and slice. They do what they do
// in text/template with the option missingkey=error, except that
//
//   - all numbers are of one type: eq 1 1.0 is true, and no number has fields;
//   - a number of the value prints as it was written, with %s as well;
//   - define, block, template, call, html, js, urlquery and complex numbers are
//     missing.
package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template/parse"
)

// Template is a parsed template. It can be used by several goroutines at once.
type Template struct{ root *parse.ListNode }

// errNoNames says what this package leaves out.
var errNoNames = errors.New("define, block and template are not supported")

// Parse reads a template.
func Parse(text string) (*Template, error) {
	const name = "format"
	known := map[string]any{}
	for name := range builtins() {
		known[name] = true
	}
	trees := map[string]*parse.Tree{}
	tree, err := parse.New(name).Parse(text, "", "", trees, known)
	if err != nil {
		return nil, readable(err, "template: "+name+":")
	}
	if len(trees) != 1 || trees[name] != tree || callsTemplate(tree.Root) {
		return nil, errNoNames
	}
	return &Template{tree.Root}, nil
}

// readable takes the name of the template, which says nothing, off an error.
func readable(err error, prefix string) error {
	if rest, ok := strings.CutPrefix(err.Error(), prefix); ok {
		return errors.New("line " + rest)
	}
	return err
}

func callsTemplate(list *parse.ListNode) bool {
	if list == nil {
		return false
	}
	for _, node := range list.Nodes {
		if node.Type() == parse.NodeTemplate {
			return true
		}
		if b := branches(node); b != nil && (callsTemplate(b.List) || callsTemplate(b.ElseList)) {
			return true
		}
	}
	return false
}

// branches is the part that if, with and range have in common.
func branches(node parse.Node) *parse.BranchNode {
	switch n := node.(type) {
	case *parse.IfNode:
		return &n.BranchNode
	case *parse.WithNode:
		return &n.BranchNode
	case *parse.RangeNode:
		return &n.BranchNode
	}
	return nil
}

// Execute prints data, which is what encoding/json decodes into an any with
// UseNumber. A name that an object does not have is a [NoFieldError].
func (t *Template) Execute(data any) (string, error) {
	data = withNumbers(data)
	e := execution{functions: builtins(), vars: []variable{{"$", data}}}
	err := e.walk(data, t.root)
	return e.out.String(), err
}

// withNumbers is v with numbers that know how to print themselves.
func withNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		return number{v.String()}
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = withNumbers(item)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, item := range v {
			object[key] = withNumbers(item)
		}
		return object
	}
	return v
}

// NoFieldError says that a value has no field of this name.
type NoFieldError struct {
	Field string
	value any
}

// maxNames bounds how many names an error tells.
const maxNames = 20

// Error names the field, and those that there are.
func (e *NoFieldError) Error() string {
	object, ok := e.value.(map[string]any)
	if !ok {
		return fmt.Sprintf("no field %q in %s", e.Field, kindOf(e.value))
	}
	names := sortedKeys(object)
	if len(names) > maxNames {
		names = append(names[:maxNames], "…")
	}
	if len(names) == 0 {
		names = []string{"none"}
	}
	return fmt.Sprintf("no field %q: there are %s", e.Field, strings.Join(names, ", "))
}

// kindOf names the type of a value for people.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "a number"
}

// truth is what if, and, or and not make of a value: what is empty, zero or
// null is false.
func truth(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	f, _ := float(v)
	return f != 0
}
