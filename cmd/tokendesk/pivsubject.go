package main

import (
	"crypto/x509/pkix"
	"strings"
)

// parseSubject reads a name as RFC 4514 writes it, of the attributes that certificates of persons have. Text without = is the common
// name; flag is named in errors.
func parseSubject(flag, text string) (n pkix.Name, err error) {
	if !strings.Contains(text, "=") {
		if n.CommonName = strings.TrimSpace(text); n.CommonName == "" {
			return n, usagef("%s is empty", flag)
		}
		return n, nil
	}
	for _, part := range splitEscaped(text) {
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

// splitEscaped cuts at commas; a backslash takes the next character as it is.
func splitEscaped(text string) (parts []string) {
	var part strings.Builder
	escaped := false
	for _, r := range text {
		switch {
		case !escaped && r == '\\':
			escaped = true
			continue
		case !escaped && r == ',':
			parts = append(parts, part.String())
			part.Reset()
			continue
		}
		part.WriteRune(r)
		escaped = false
	}
	return append(parts, part.String())
}
