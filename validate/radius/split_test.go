package radius

import (
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/validate"
)

const someOTP = "vvccccdrtllgikkvhcrjguvlnljbvbbnfugrhlrurdge" // 44 characters

func TestSplit(t *testing.T) {
	t.Parallel()
	rule := func(codeLen, otpLen int) validate.NASRules {
		return validate.NASRules{Password: validate.PasswordUpstream, CodeLen: codeLen, OTPLen: otpLen}
	}
	for _, tc := range []struct {
		name           string
		rules          validate.NASRules
		typed          string
		password, code string
		ok             bool
	}{
		{"no password", validate.NASRules{Password: validate.PasswordNone}, "anything 123456", "", "anything 123456", true},
		{"six digits", rule(6, 44), "secret123456", "secret", "123456", true},
		{"digits before digits", rule(6, 44), "secret2026123456", "secret2026", "123456", true},
		{"eight digits", rule(8, 44), "secret12345678", "secret", "12345678", true},
		{"too few digits", rule(8, 44), "secret123456", "", "", false},
		{"no password typed", rule(6, 44), "123456", "", "123456", true},
		{"no code typed", rule(6, 44), "secret", "", "", false},
		{"nothing typed", rule(6, 44), "", "", "", false},
		{"line end", rule(6, 44), "secret123456\r\n", "secret", "123456", true},
		{"OTP", rule(6, 44), "secret" + someOTP, "secret", someOTP, true},
		{"OTP after ModHex", rule(6, 44), "cbcbcb" + someOTP, "cbcbcb", someOTP, true},
		{"OTP in capitals", rule(6, 44), "Secret" + strings.ToUpper(someOTP), "Secret", strings.ToUpper(someOTP), true},
		{"OTP without public ID", rule(6, 32), "secretvvcc" + someOTP[12:], "secretvvcc", someOTP[12:], true},
		{"short OTP", rule(6, 44), "password: " + someOTP[1:], "", "", false},
		{"recovery code", rule(6, 44), "secret7KM4Q-2X9AB", "secret", "7KM4Q-2X9AB", true},
		{"recovery code, all digits at the end", rule(6, 44), "secret7km4q-23456", "secret", "7km4q-23456", true},
		{"recovery code without dash", rule(6, 44), "secret7KM4Q2X9AB", "", "", false},
		{"UTF-8 password", rule(6, 44), "pässwörd123456", "pässwörd", "123456", true},
		{"Arabic-Indic digits", rule(6, 44), "secret١٢٣٤٥٦", "", "", false},
		{"ignored", validate.NASRules{Password: validate.PasswordIgnore, CodeLen: 6, OTPLen: 44}, "x123456", "x", "123456", true},
	} {
		password, code, ok := split(tc.rules, tc.typed)
		if password != tc.password || code != tc.code || ok != tc.ok {
			t.Errorf("%s: %q, %q, %v", tc.name, password, code, ok)
		}
	}
}

// FuzzSplit: nothing typed gets lost but white space at its end.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{"secret123456", "secret" + someOTP, "secret7KM4Q-2X9AB", "", "ä\xff123456 ", "-----------"} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, eight bool) {
		r := validate.NASRules{Password: validate.PasswordIgnore, CodeLen: 6, OTPLen: 44}
		if eight {
			r.CodeLen = 8
		}
		password, code, ok := split(r, s)
		if ok && password+code != strings.TrimRight(s, validate.Space) || !ok && password+code != "" || ok && code == "" {
			t.Errorf("%q: %q, %q, %v", s, password, code, ok)
		}
	})
}

func TestAccount(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][2]string{ // as it is, and without realm
		"ada": {"ada", "ada"}, "ada@example.org": {"ada@example.org", "ada"}, `EXAMPLE\ada`: {`EXAMPLE\ada`, "ada"},
		`EXAMPLE\ada@example.org`: {`EXAMPLE\ada@example.org`, "ada"}, "a@b@c": {"a@b@c", "a@b"}, "@example.org": {"@example.org", ""},
		"": {"", ""}, "ada\x00": {"", ""}, "ada\n": {"", ""}, "\xff": {"", ""}, "añã": {"añã", "añã"},
	} {
		got := [2]string{account(validate.NASRules{}, name), account(validate.NASRules{StripRealm: true}, name)}
		if got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
