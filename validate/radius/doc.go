// Package radius answers devices that ask by RADIUS over UDP (RFC 2865): network access servers, NAS for short, such as VPN gateways.
//
// A NAS sends a user name and, as PAP, what was typed into the field for the password. Of that the end is a one-time password or
// code, which a Checker decides about, as for the other doors. What stands before it is nothing, is not looked at, or is checked by
// another RADIUS server: see validate.NASRules.
//
//	NAS                                   tokendesk
//	Access-Request, User-Name ada,
//	User-Password 123456                  Message-Authenticator right? asked before? may it ask? is the code right?
//	                                      Access-Accept, or Access-Reject with a support code
//
// The secret that a NAS shares is all that protects a request, by MD5. So a request without a right Message-Authenticator (RFC 3579
// §3.2) has no answer, every answer begins with one, and the same request asked again gets the same answer, not another decision: an
// answer that got lost uses up no further code. What comes from an unknown address, or with a wrong secret, is dropped and
// counted.
//
// A code is looked at before the password, and is spent then: who has no token learns nothing about passwords, nor has them locked.
//
// There are no challenges, no EAP, CHAP or MS-CHAP, no accounting, no change of authorisation.
package radius
