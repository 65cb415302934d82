package main

import (
	"crypto/x509/pkix"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parseSubject reads a name as RFC 4514 writes it, of the attributes that certificates of persons have. Text without = is the common
// name; flag is named in errors.
func parseSubject(flag, text string) (n pkix.Name, err error) {
	if !strings.Contains(text, "=") {
		if n.CommonName = strings.TrimSpace(text); n.CommonName == "" {
			return n, usagef("%s is empty", flag)
		}
		return n, checkName(flag, n.CommonName)
	}
	parts, err := splitEscaped(flag, text)
	if err != nil {
		return n, err
	}
	for _, part := range parts {
		name, value, ok := strings.Cut(part, "=")
		value = strings.TrimSpace(value)
		if !ok || value == "" {
			return n, usagef("%s: %q is no NAME=VALUE", flag, printable(part)).hint("example: %s CN=ada,O=Example", flag)
		}
		if err := setName(flag, &n, strings.ToUpper(strings.TrimSpace(name)), value); err != nil {
			return n, err
		}
	}
	if n.CommonName == "" {
		return n, usagef("%s has no CN", flag)
	}
	return n, nil
}

func setName(flag string, n *pkix.Name, name, value string) error {
	if err := checkName(flag, value); err != nil {
		return err
	}
	lists := map[string]*[]string{"O": &n.Organization, "OU": &n.OrganizationalUnit, "C": &n.Country, "L": &n.Locality, "ST": &n.Province}
	single := map[string]*string{"CN": &n.CommonName, "SERIALNUMBER": &n.SerialNumber}
	if list, ok := lists[name]; ok {
		*list = append(*list, value)
		return nil
	}
	at, ok := single[name]
	switch {
	case !ok:
		return usagef("%s: there is no %s here", flag, printable(name)).hint("there are: CN, O, OU, C, L, ST, SERIALNUMBER")
	case *at != "":
		return usagef("%s has %s twice", flag, name)
	}
	*at = value
	return nil
}

// splitEscaped cuts at commas. Behind a backslash are a byte in hexadecimal or a character that is taken as it is; without one, those are
// refused that RFC 4514 §2.4 wants behind one: they would not mean themselves elsewhere.
func splitEscaped(flag, text string) (parts []string, err error) {
	var part []byte
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]):
			b, _ := strconv.ParseUint(text[i+1:i+3], 16, 8)
			part = append(part, byte(b))
			i += 2
		case c == '\\' && i+1 < len(text):
			i++
			part = append(part, text[i])
		case c == ',':
			parts, part = append(parts, string(part)), nil
		case strings.IndexByte(`\+";<>`, c) >= 0:
			return nil, usagef("%s: %c is written behind a backslash", flag, c).hint(`example: %s 'CN=Ada \+ Co'`, flag)
		default:
			part = append(part, c)
		}
	}
	return append(parts, string(part)), nil
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

// checkName refuses what would steer whatever shows a certificate.
func checkName(flag, value string) error {
	if !utf8.ValidString(value) || printable(value) != value {
		return usagef("%s has bytes that are no text", flag)
	}
	return nil
}
