package push

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
)

// AuthError says that the server does not accept who we are. Repeating does not help and may lock the account.
type AuthError struct{ Server, Cause string }

func (e *AuthError) Error() string { return e.Server + ": sign in: " + e.Cause }

// RefusedError says that the server or this package refuses a token. Repeating does not help.
type RefusedError struct {
	Server string
	Field  string // what it is about, in the server's words: "serial", "otpkey", "user", …; "": it does not say
	Cause  string
}

func (e *RefusedError) Error() string {
	if e.Field == "" {
		return e.Server + ": refused: " + e.Cause
	}
	return e.Server + ": refused: " + e.Field + ": " + e.Cause
}

// UnreachableError says that there was no usable answer. The request may have been carried out nevertheless; it may be repeated.
type UnreachableError struct{ Server, Cause string }

func (e *UnreachableError) Error() string { return e.Server + ": no answer: " + e.Cause }

// broken says in our own words why a connection gave no answer: texts of package net/http may quote what the server sent.
func broken(err error) string {
	var (
		certificate *tls.CertificateVerificationError
		name        *net.DNSError
		number      syscall.Errno
		timeout     net.Error
	)
	switch {
	case errors.As(err, &certificate):
		return "its certificate is not trusted here"
	case errors.As(err, &name):
		return "its name does not resolve"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "it took too long"
	case errors.As(err, &number):
		return number.Error()
	}
	return "the connection broke"
}
