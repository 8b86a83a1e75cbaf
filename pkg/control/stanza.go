// SPDX-License-Identifier: MIT

package control

// Field is one field of a [Stanza]. Value is the text after the colon, without
// the white space around it; the lines of a multi-line value are joined by
// "\n", without the one space that begins each continuation line ("." lines
// stay).
type Field struct {
	Name  string // spelled as in the file
	Value string
	Line  int // of the field's name, from 1; 0: made by a program
}

// Stanza is an ordered list of fields. The zero value is empty and ready.
type Stanza struct {
	Fields []Field
}
