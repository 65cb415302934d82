package codecs

import (
	"github.com/tokendesk/tokendesk/keyfile/appbackup"
	"github.com/tokendesk/tokendesk/keyfile/authelia"
	"github.com/tokendesk/tokendesk/keyfile/entra"
	"github.com/tokendesk/tokendesk/keyfile/freeradius"
	"github.com/tokendesk/tokendesk/keyfile/googleauth"
	"github.com/tokendesk/tokendesk/keyfile/kanidm"
	"github.com/tokendesk/tokendesk/keyfile/keycloak"
	"github.com/tokendesk/tokendesk/keyfile/ksm"
	"github.com/tokendesk/tokendesk/keyfile/linotpcsv"
	"github.com/tokendesk/tokendesk/keyfile/migration"
	"github.com/tokendesk/tokendesk/keyfile/nextcloud"
	"github.com/tokendesk/tokendesk/keyfile/oathcsv"
	"github.com/tokendesk/tokendesk/keyfile/otpauth"
	"github.com/tokendesk/tokendesk/keyfile/pijson"
	"github.com/tokendesk/tokendesk/keyfile/pskc"
	"github.com/tokendesk/tokendesk/keyfile/tablecsv"
	"github.com/tokendesk/tokendesk/keyfile/usersoath"
	"github.com/tokendesk/tokendesk/keyfile/vault"
	"github.com/tokendesk/tokendesk/keyfile/yubicocsv"
	"github.com/tokendesk/tokendesk/keyfile/yubimap"
)

// Targets lists the servers, in the order in which they are shown. Source: reference key-files.md §4 to §8.
func Targets() []Target {
	out := tokenServers()
	out = append(out, logins()...)
	out = append(out, webServers()...)
	out = append(out, apps()...)
	return append(out, tableServers()...)
}

// tokenServers are the servers that do what this one does.
func tokenServers() []Target {
	return []Target{
		{
			Name: "privacyidea", Title: "privacyIDEA", Codec: oathcsv.Codec{}, Tried: true, Protect: OpenPGP,
			Import: "pi-manage token import FILE\n(or in the web interface: Import, type \"OATH CSV\"; an encrypted file only there)",
			Why:    "two slots of one key stay two tokens; privacyIDEA does not compare private IDs and learns the public ID with the first OTP",
		},
		{
			Name: "privacyidea-pskc", Title: "privacyIDEA, PSKC", Codec: pskc.Codec{}, Tried: true, Protect: PresharedKey | Passphrase,
			Import:    "in the web interface: Import FILE, type \"PSKC\", with the pre-shared key in hexadecimal or the password",
			Why:       "names the hash whatever the length of the seed",
			protected: refuseProtectedYubicoOTPs,
		},
		{
			Name: "privacyidea-json", Title: "privacyIDEA, own format", Codec: pijson.Codec{}, Protect: FernetKey,
			Import: "pi-tokenjanitor import privacyidea FILE --key KEY",
			Why:    "not tried: the only file that carries a YubiKey's public ID; from 3.12; an existing serial is overwritten",
		},
		{
			Name: "linotp", Title: "LinOTP", Codec: linotpcsv.Codec{}, Tried: true,
			Import: "upload FILE to admin/loadtokens with type=oathcsv",
			Why:    "six columns name the hash; there is none for the HOTP counter",
		},
		{
			Name: "yubikey-ksm", Title: "yubikey-ksm", Codec: ksm.Codec{}, Tried: true, Protect: OpenPGP, Signed: true,
			Import: "ykksm-import < FILE\n(a file in clear first: gpg --armor --sign --encrypt --recipient KSM-KEY-ID --output FILE.asc FILE)",
			Why:    "ykksm-import takes a signed OpenPGP message only, and a public ID once only",
		},
		{
			Name: "yubikey-val", Title: "yubikey-val", Codec: ksm.Codec{}, Tried: true, Protect: OpenPGP, Signed: true,
			Import: "ykksm-import < FILE\n(on the host of its KSM; yubikey-val itself makes a row at each key's first OTP)",
			Why:    "yubikey-val keeps no keys: the file is for its KSM",
		},
		{
			Name: "freeipa", Title: "FreeIPA", Codec: pskc.Codec{}, Tried: true, Protect: PresharedKey | Passphrase, RawKey: true,
			Import:  "ipa-otptoken-import -k KEYFILE FILE NOT-IMPORTED.xml\nipa otptoken-mod TOKEN-ID --owner PERSON\n(a file with a password must hold it without a line's end)",
			Why:     "PSKC is its only way in; HOTP and TOTP with 6 or 8 digits only, the owner is set afterwards",
			refuses: refuseForFreeIPA,
		},
		{
			Name: "multiotp", Title: "multiOTP", Codec: pskc.Codec{}, Tried: true,
			Import:  "multiotp -import FILE",
			Why:     "reads plain PSKC with its hash; HOTP and TOTP only; it lower-cases serials; it damages encrypted PSKC and says nothing",
			refuses: refuseYubicoOTPs,
		},
	}
}

// logins are the modules that check codes at a Linux login or for RADIUS.
func logins() []Target {
	return []Target{
		{
			Name: "google-authenticator", Title: "Google Authenticator (PAM)", Codec: googleauth.Codec{}, Tried: true,
			Import: "install -m 600 -o ACCOUNT FILE ~ACCOUNT/.google_authenticator\n(its directory must be writable for the account; of a token at counter 0, throw the first code away)",
			Why:    "SHA-1, 6 digits, at most 60 s; one file for each account",
		},
		{
			Name: "pam-oath", Title: "pam_oath", Codec: usersoath.Codec{}, Tried: true,
			Import: "install -m 600 -o root FILE /etc/users.oath\nauth required pam_oath.so usersfile=/etc/users.oath window=5 digits=6",
			Why:    "SHA-1, 30 or 60 s, seeds of 32 bytes at most; digits= must be the tokens'",
		},
		{
			Name: "pam-yubico", Title: "pam_yubico", Codec: yubimap.Codec{}, Tried: true,
			Import: "install -m 644 FILE /etc/yubikey_mappings\nauth required pam_yubico.so mode=client id=N key=… authfile=/etc/yubikey_mappings urllist=https://HOST/wsapi/2.0/verify",
			Why:    "says who may log in with which public ID; it holds no secret",
		},
		{
			Name: "freeradius", Title: "FreeRADIUS", Codec: freeradius.Codec{},
			Import: "append FILE to mods-config/files/authorize; rlm_yubikey with decrypt = yes, split = yes, id_length = 12",
			Why:    "not tried: replays are accepted there unless a policy stores Yubikey-Counter",
		},
	}
}

// webServers are applications with a second factor of their own.
func webServers() []Target {
	return []Target{
		{
			Name: "keycloak", Title: "Keycloak", Codec: keycloak.Codec{},
			Import: "Realm settings, Action, Partial import: FILE\n(or: kcadm.sh create partialImport -r REALM -f FILE)",
			Why:    "not tried: makes persons anew and stops at those who exist",
		},
		{
			Name: "keycloak-users", Title: "Keycloak, existing persons", Codec: keycloak.Codec{Bodies: true},
			Import: "each line of FILE: PUT admin/realms/REALM/users/ID",
			Why:    "not tried: adds credentials and leaves the others",
		},
		{
			Name: "nextcloud", Title: "Nextcloud, twofactor_oath", Codec: nextcloud.Codec{},
			Import: "Administration settings, OATH, Import from CSV: paste FILE, Provision",
			Why:    "not tried: one token a person, seeds of 16 bytes at least; unknown persons are skipped there",
		},
		{
			Name: "entra", Title: "Microsoft Entra", Codec: entra.Codec{},
			Import: "Entra admin centre, Authentication methods, OATH tokens: upload FILE, then activate each token with a code",
			Why:    "not tried: SHA-1, 6 digits, 30 or 60 s; the owner is the user principal name",
		},
		{
			Name: "authelia", Title: "Authelia", Codec: authelia.Codec{},
			Import: "authelia storage user totp import FILE",
			Why:    "not tried: TOTP with 6 or 8 digits, one a person",
		},
		{
			Name: "vault", Title: "Vault, OpenBao", Codec: vault.Codec{},
			Import: "while read -r l; do printf %s \"$l\" | vault write totp/keys/$(printf %s \"$l\" | jq -r .name) -; done < FILE",
			Why:    "not tried: TOTP only",
		},
		{
			Name: "kanidm", Title: "Kanidm", Codec: kanidm.Codec{},
			Import: "put each totp_import of FILE into the person's SCIM sync entry",
			Why:    "not tried: TOTP, at least 30 s, 6 or 8 digits; there is no import of files",
		},
	}
}

// apps are what people have on their phones.
func apps() []Target {
	return []Target{
		{
			Name: "apps", Title: "Authenticator apps", Codec: otpauth.Codec{}, Tried: true,
			Import: "show each line of FILE as a QR code, or import FILE as plain URIs in Aegis or FreeOTP+",
			Why:    "one otpauth URI a line; some apps ignore hash, digits and period",
		},
		{
			Name: "google-authenticator-app", Title: "Google Authenticator (app)", Codec: migration.Codec{},
			Import: "show each line of FILE as a QR code; in the app: Transfer accounts, Import accounts",
			Why:    "not tried in the app: 30 s only, up to ten accounts a code",
		},
		{
			Name: "aegis", Title: "Aegis", Codec: appbackup.Aegis{},
			Import: "Settings, Import & Export, Import from file, Aegis: FILE",
			Why:    "not tried in the app: a vault in clear",
		},
	}
}

// tableServers read tables; what is known of them is from their documents.
func tableServers() []Target {
	out := []Target{
		{
			Name: "okta", Title: "Okta", Codec: yubicocsv.Codec{},
			Import:  "upload FILE as the YubiKey seed file; a key that was uploaded before must be deleted there first",
			Why:     "from its documents, not tried: the Yubico format with its order and its trailing comma",
			refuses: refuseOATH,
		},
		{
			Name: "greenradius", Title: "GreenRADIUS", Codec: yubicocsv.Codec{},
			Import:  "import FILE as a key file of the cross-platform Personalization Tool",
			Why:     "from its documents, not tried",
			refuses: refuseOATH,
		},
	}
	for _, c := range tablecsv.Formats() {
		out = append(out, Target{
			Name: c.Name(), Title: c.Format.Title, Codec: c,
			Import: "upload or paste FILE, choosing this type of token",
			Why:    "from its documents, not tried",
		})
	}
	return out
}
