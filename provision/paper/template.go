package paper

import (
	"bytes"
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"text/template"
	"text/template/parse"
)

// Limits of a template and of what it makes, in bytes.
const (
	maxTemplate = 64 << 10
	maxOutput   = 256 << 10
)

// TemplateError is a template that cannot be used: where, and what to do.
type TemplateError struct {
	File    string
	Line    int // 0: of no one line
	Problem string
}

func (e *TemplateError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Problem)
	}
	return fmt.Sprintf("%s: line %d: %s", e.File, e.Line, e.Problem)
}

// lone is a line that holds nothing but one if, else, end or range: it leaves no empty line behind.
func lone(line string) bool {
	s := strings.TrimSpace(line)
	if !strings.HasPrefix(s, "{{") || strings.Count(s, "{{") != 1 || !strings.HasSuffix(s, "}}") || strings.Count(s, "}}") != 1 {
		return false
	}
	word, _, _ := strings.Cut(strings.TrimSpace(s[2:len(s)-2]), " ")
	return word == "if" || word == "else" || word == "end" || word == "range"
}

// parseTemplate reads a template and holds it against the type of its facts, so that filling it in cannot fail: it may show fields, compare
// texts, and choose and repeat by fields, nothing else. The error is a *TemplateError.
func parseTemplate(file, text string, facts reflect.Type) (*template.Template, error) {
	if len(text) > maxTemplate {
		return nil, &TemplateError{file, 0, fmt.Sprintf("is longer than %d bytes", maxTemplate)}
	}
	var b strings.Builder
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(strings.ReplaceAll(text, "\r\n", "\n"), "\ufeff")) {
		n++
		if i := strings.IndexFunc(line, func(r rune) bool {
			return r != '\n' && r != '\t' && clean(string(r)) == "" && r != ' ' && r != '\u00a0'
		}); i >= 0 {
			return nil, &TemplateError{file, n, "has a control character or is not UTF-8"}
		}
		if body, ended := strings.CutSuffix(line, "\n"); ended && lone(body) {
			line = strings.TrimSpace(body) + "{{/*\n*/}}" // the line's end is a comment: lines keep their numbers
		}
		b.WriteString(line)
	}
	t, err := template.New(file).Parse(b.String())
	if err != nil {
		return nil, syntax(file, err)
	}
	if len(t.Templates()) > 1 {
		return nil, &TemplateError{file, 0, "define and block are not possible"}
	}
	if t.Tree == nil || t.Root == nil {
		return template.Must(template.New(file).Parse("{{/**/}}")), nil
	}
	c := checker{file: file, text: b.String(), root: facts}
	return t, c.list(t.Root, facts, 0)
}

// syntax is what package template says, by file and line. Its errors begin "template: FILE:LINE: " or "template: FILE:LINE:COLUMN: ".
func syntax(file string, err error) error {
	text := strings.TrimPrefix(err.Error(), "template: "+file+":")
	if m := regexp.MustCompile(`^(\d+)(?::\d+)?: (.*)`).FindStringSubmatch(text); m != nil {
		line := 0
		_, _ = fmt.Sscan(m[1], &line) // digits
		return &TemplateError{file, line, m[2]}
	}
	return &TemplateError{file, 0, "cannot be read"}
}

// checker walks a template's tree.
type checker struct {
	file, text string
	root       reflect.Type
}

func (c checker) refuse(at parse.Node, format string, a ...any) error {
	pos := min(int(at.Position()), len(c.text))
	return &TemplateError{c.file, strings.Count(c.text[:pos], "\n") + 1, fmt.Sprintf(format, a...)}
}

// maxRange is how deep range may be nested.
const maxRange = 1

func (c checker) list(l *parse.ListNode, dot reflect.Type, depth int) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		if err := c.node(n, dot, depth); err != nil {
			return err
		}
	}
	return nil
}

func (c checker) node(n parse.Node, dot reflect.Type, depth int) error {
	switch n := n.(type) {
	case *parse.TextNode, *parse.CommentNode:
		return nil
	case *parse.ActionNode:
		t, err := c.pipe(n.Pipe, dot)
		if err == nil && t.Kind() != reflect.String {
			err = c.refuse(n, "only texts can be shown: %s is none", n.Pipe)
		}
		return err
	case *parse.IfNode:
		if _, err := c.pipe(n.Pipe, dot); err != nil {
			return err
		}
		return cmp.Or(c.list(n.List, dot, depth), c.list(n.ElseList, dot, depth))
	case *parse.RangeNode:
		t, err := c.pipe(n.Pipe, dot)
		switch {
		case err != nil:
			return err
		case t.Kind() != reflect.Slice:
			return c.refuse(n, "range repeats lists: %s is none", n.Pipe)
		case depth >= maxRange:
			return c.refuse(n, "a range in a range is not possible")
		}
		return cmp.Or(c.list(n.List, t.Elem(), depth+1), c.list(n.ElseList, dot, depth))
	}
	return c.refuse(n, "only fields, if, else and range are possible")
}

// pipe is the type of what an action shows or decides by.
func (c checker) pipe(p *parse.PipeNode, dot reflect.Type) (reflect.Type, error) {
	if len(p.Decl) > 0 || len(p.Cmds) != 1 {
		return nil, c.refuse(p, "variables and pipes are not possible")
	}
	args := p.Cmds[0].Args
	if len(args) == 1 {
		return c.operand(args[0], dot)
	}
	f, ok := args[0].(*parse.IdentifierNode)
	if !ok {
		return nil, c.refuse(p, "only and, or, not, eq and ne take arguments")
	}
	least, most, texts := 2, 8, false
	switch f.Ident {
	case "and", "or":
	case "not":
		least, most = 1, 1
	case "eq", "ne":
		most, texts = 2, true
	default:
		return nil, c.refuse(p, "%s is not possible: and, or, not, eq and ne are", f.Ident)
	}
	if n := len(args) - 1; n < least || n > most {
		return nil, c.refuse(p, "%s has %d arguments", f.Ident, n)
	}
	for _, a := range args[1:] {
		t, err := c.operand(a, dot)
		if err != nil {
			return nil, err
		}
		if texts && t.Kind() != reflect.String {
			return nil, c.refuse(p, "%s compares texts: %s is none", f.Ident, a)
		}
	}
	return reflect.TypeFor[bool](), nil
}

// operand is a field of dot or, behind $, of the facts; a text; or something in parentheses.
func (c checker) operand(n parse.Node, dot reflect.Type) (reflect.Type, error) {
	switch n := n.(type) {
	case *parse.FieldNode:
		return c.field(n, dot, n.Ident)
	case *parse.VariableNode:
		return c.field(n, c.root, n.Ident[1:]) // no others than $ can be declared
	case *parse.DotNode:
		return dot, nil
	case *parse.StringNode:
		return reflect.TypeFor[string](), nil
	case *parse.PipeNode:
		return c.pipe(n, dot)
	}
	return nil, c.refuse(n, "%s is not possible here", n)
}

func (c checker) field(at parse.Node, t reflect.Type, names []string) (reflect.Type, error) {
	for _, name := range names {
		if t.Kind() != reflect.Struct {
			return nil, c.refuse(at, "field %s: there is none behind it", at)
		}
		f, ok := t.FieldByName(name)
		if !ok || !f.IsExported() {
			return nil, c.refuse(at, "field %s: there is no such fact; there are %s", at, fields(t))
		}
		t = f.Type
	}
	return t, nil
}

func fields(t reflect.Type) string {
	var all []string
	for f := range t.Fields() {
		if f.IsExported() {
			all = append(all, "."+f.Name)
		}
	}
	return strings.Join(all, ", ")
}

// bounded takes maxOutput bytes.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxOutput {
		return 0, fmt.Errorf("makes more than %d bytes", maxOutput)
	}
	return b.Buffer.Write(p)
}

// fill executes a template over facts.
func fill(t *template.Template, facts any) (string, error) {
	var b bounded
	if err := t.Execute(&b, facts); err != nil {
		return "", &TemplateError{t.Name(), 0, "cannot be filled in: " + strings.TrimPrefix(err.Error(), "template: ")}
	}
	return b.String(), nil
}
