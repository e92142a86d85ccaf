package template

import (
	"cmp"
	"fmt"
	"strconv"
)

// number is one of a JSON value, as written there. Those of the template itself
// and of functions are int and float64.
type number struct{ text string }

// MarshalJSON writes the number as it was.
func (n number) MarshalJSON() ([]byte, error) { return []byte(n.text), nil }

// Format prints the number as it was written, unless the verb asks for an
// integer or for a fraction.
func (n number) Format(s fmt.State, verb rune) {
	var v any = n.text
	i, isInt := integer(n)
	switch verb {
	case 'e', 'E', 'f', 'F', 'g', 'G':
		v, _ = float(n)
	case 'b', 'c', 'd', 'o', 'O', 'x', 'X', 'U':
		if v, _ = float(n); isInt {
			v = i
		}
	case 'v':
		if isInt && strconv.FormatInt(i, 10) == n.text {
			v = i // pads as integers do
		}
	}
	fmt.Fprintf(s, fmt.FormatString(s, verb), v)
}

// integer is the value of a number that is written as an integer.
func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case number:
		i, err := strconv.ParseInt(v.text, 10, 64)
		return i, err == nil
	}
	return 0, false
}

// float is the value of any number, rounded if it has to be.
func float(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, true
	case number:
		f, _ := strconv.ParseFloat(v.text, 64) // out of range: infinite
		return f, true
	}
	return 0, false
}

// compareNumbers compares two values if both are numbers: exactly if both are
// integers of 64 bits.
func compareNumbers(a, b any) (order int, ok bool) {
	i, iOK := integer(a)
	j, jOK := integer(b)
	if iOK && jOK {
		return cmp.Compare(i, j), true
	}
	x, xOK := float(a)
	y, yOK := float(b)
	return cmp.Compare(x, y), xOK && yOK
}
