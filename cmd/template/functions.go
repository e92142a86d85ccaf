package template

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
)

// function is one that templates can call.
type function struct {
	least, most int // how many arguments; most 0 is any number
	call        func(args []any) (any, error)
}

// builtins lists the functions. The evaluator calls and, or: they leave arguments
// alone that do not matter.
func builtins() map[string]function {
	return map[string]function{
		"and":     {least: 1},
		"or":      {least: 1},
		"not":     {1, 1, func(args []any) (any, error) { return !truth(args[0]), nil }},
		"eq":      {2, 0, equalToAny},
		"ne":      {2, 2, func(args []any) (any, error) { same, err := equal(args[0], args[1]); return !same, err }},
		"lt":      {2, 2, ordered(func(order int) bool { return order < 0 })},
		"le":      {2, 2, ordered(func(order int) bool { return order <= 0 })},
		"gt":      {2, 2, ordered(func(order int) bool { return order > 0 })},
		"ge":      {2, 2, ordered(func(order int) bool { return order >= 0 })},
		"index":   {1, 0, index},
		"slice":   {1, 4, slice},
		"len":     {1, 1, func(args []any) (any, error) { return length(args[0]) }},
		"json":    {1, 1, toJSON},
		"print":   {0, 0, func(args []any) (any, error) { return fmt.Sprint(args...), nil }},
		"println": {0, 0, func(args []any) (any, error) { return fmt.Sprintln(args...), nil }},
		"printf":  {1, 0, printf},
	}
}

func toJSON(args []any) (any, error) {
	data, err := json.Marshal(args[0])
	return string(data), err
}

func printf(args []any) (any, error) {
	format, ok := args[0].(string)
	if !ok {
		return nil, fmt.Errorf("%s is no format", kindOf(args[0]))
	}
	return fmt.Sprintf(format, args[1:]...), nil
}

func equalToAny(args []any) (any, error) {
	for _, other := range args[1:] {
		if same, err := equal(args[0], other); same || err != nil {
			return same, err
		}
	}
	return false, nil
}

// equal compares two values of one kind. Null equals itself alone.
func equal(a, b any) (bool, error) {
	if a == nil || b == nil {
		return a == nil && b == nil, nil
	}
	if a, ok := a.(bool); ok {
		if b, ok := b.(bool); ok {
			return a == b, nil
		}
	}
	order, err := compare(a, b)
	return order == 0, err
}

// ordered makes a function of what an order means.
func ordered(holds func(order int) bool) func([]any) (any, error) {
	return func(args []any) (any, error) {
		order, err := compare(args[0], args[1])
		return err == nil && holds(order), err
	}
}

// compare orders two strings or two numbers.
func compare(a, b any) (order int, err error) {
	if a, ok := a.(string); ok {
		if b, ok := b.(string); ok {
			return cmp.Compare(a, b), nil
		}
	}
	if order, ok := compareNumbers(a, b); ok {
		return order, nil
	}
	return 0, fmt.Errorf("%s and %s cannot be compared", kindOf(a), kindOf(b))
}

func length(v any) (int, error) {
	switch v := v.(type) {
	case string:
		return len(v), nil
	case []any:
		return len(v), nil
	case map[string]any:
		return len(v), nil
	}
	return 0, fmt.Errorf("%s has no length", kindOf(v))
}

// index goes down into lists, objects and the bytes of strings.
func index(args []any) (any, error) {
	item := args[0]
	if item == nil {
		return nil, errors.New("null has no elements")
	}
	for _, key := range args[1:] {
		var err error
		if item, err = element(item, key); err != nil {
			return nil, err
		}
	}
	return item, nil
}

// element is one of item's. A key that an object does not have stands for null.
func element(item, key any) (any, error) {
	if object, ok := item.(map[string]any); ok {
		name, ok := key.(string)
		if !ok {
			return nil, fmt.Errorf("the key of an object is a string, not %s", kindOf(key))
		}
		return object[name], nil
	}
	size, err := length(item)
	if err != nil {
		return nil, fmt.Errorf("%s has no elements", kindOf(item))
	}
	i, err := position(key, size-1)
	if err != nil {
		return nil, err
	}
	if s, ok := item.(string); ok {
		return int(s[i]), nil
	}
	return item.([]any)[i], nil
}

// position is an index that is at most last.
func position(key any, last int) (int, error) {
	i, ok := integer(key)
	if !ok {
		return 0, fmt.Errorf("an index is an integer, not %v", key)
	}
	if i < 0 || i > int64(last) {
		return 0, fmt.Errorf("index %d is out of range", i)
	}
	return int(i), nil
}

// slice cuts a piece out of a string or a list: slice x 1 2 is x[1:2].
func slice(args []any) (any, error) {
	item := args[0]
	size, err := length(item)
	if _, isObject := item.(map[string]any); err != nil || isObject {
		return nil, fmt.Errorf("%s cannot be sliced", kindOf(item))
	}
	bounds := []int{0, size, size}
	for i, key := range args[1:] {
		if bounds[i], err = position(key, size); err != nil {
			return nil, err
		}
	}
	from, to, limit := bounds[0], bounds[1], bounds[2]
	if from > to || to > limit {
		return nil, fmt.Errorf("the bounds of a slice are in the wrong order: %v", args[1:])
	}
	if s, ok := item.(string); !ok {
		return item.([]any)[from:to], nil
	} else if len(args) < 4 {
		return s[from:to], nil
	}
	return nil, errors.New("a string is sliced by two bounds at most")
}
