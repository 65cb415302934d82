package appbackup

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// encrypt writes the encrypted backups with Debian's python3-cryptography, as the reference describes them. The files in
// testdata were made by it.
const encrypt = `
import base64, hashlib, json, os, struct, sys
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
folder, phrase = sys.argv[1], sys.argv[2].encode()
plain = lambda name: open(os.path.join(folder, name), "rb").read()
write = lambda name, data: open(os.path.join(folder, name), "wb").write(data)
seal = lambda key, nonce, data: AESGCM(key).encrypt(nonce, data, None)

def slot(kind, master, phrase):
    salt, nonce = os.urandom(32), os.urandom(12)
    sealed = seal(hashlib.scrypt(phrase, salt=salt, n=2**15, r=8, p=1, maxmem=2**26, dklen=32), nonce, master)
    return {"type": kind, "uuid": "01234567-89ab-cdef-0123-456789abcdef", "key": sealed[:-16].hex(),
            "key_params": {"nonce": nonce.hex(), "tag": sealed[-16:].hex()}, "n": 2**15, "r": 8, "p": 1, "salt": salt.hex(), "repaired": True}

master, nonce = os.urandom(32), os.urandom(12)
sealed = seal(master, nonce, json.dumps(json.loads(plain("aegis.json"))["db"], indent=1).encode())
slots = [{"type": 2, "uuid": "x", "key": "00", "key_params": {"nonce": "00", "tag": "00"}}, slot(1, master, b"another"), slot(1, master, phrase)]
write("aegis-encrypted.json", json.dumps({"version": 1, "header": {"slots": slots, "params": {"nonce": nonce.hex(), "tag": sealed[-16:].hex()}},
    "db": base64.b64encode(sealed[:-16]).decode()}, indent=1).encode())

n, salt, nonce = 140000, os.urandom(12), os.urandom(12)
write("andotp-encrypted.bin", struct.pack(">I", n) + salt + nonce + seal(hashlib.pbkdf2_hmac("sha1", phrase, salt, n, 32), nonce, plain("andotp.json")))
write("andotp-old.bin", nonce + seal(hashlib.sha256(phrase).digest(), nonce, plain("andotp.json")))

whole, salt, nonce = json.loads(plain("2fas.json")), os.urandom(256), os.urandom(12)
sealed = seal(hashlib.pbkdf2_hmac("sha256", phrase, salt, 10000, 32), nonce, json.dumps(whole["services"]).encode())
whole["services"], whole["servicesEncrypted"] = [], ":".join(base64.b64encode(b).decode() for b in (sealed, salt, nonce))
write("2fas-encrypted.json", json.dumps(whole).encode())
`

// TestOpensFreshFiles encrypts the plain test files anew, with other salts and nonces, and reads them.
func TestOpensFreshFiles(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3"
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := exec.CommandContext(ctx, python, "-c", "import cryptography").Run(); err != nil {
		if os.Getenv("TOKENDESK_JUDGES") == "1" {
			t.Fatalf("python3-cryptography is not installed, and TOKENDESK_JUDGES is 1: %v", err)
		}
		t.Skip("python3-cryptography is not installed")
	}
	folder := t.TempDir()
	for _, name := range []string{"aegis.json", "andotp.json", "2fas.json"} {
		if err := os.WriteFile(filepath.Join(folder, name), load(t, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(ctx, python, "-c", encrypt, folder, passphrase).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, e := range encrypted {
		fresh, err := os.ReadFile(filepath.Join(folder, e.file))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(fresh, load(t, e.file)) {
			t.Errorf("%s is the file of testdata", e.file)
		}
		recs, errs := sample.Decode(e.reader.Unlock(answer(passphrase)), string(fresh))
		if len(recs) != len(accounts()) || len(errs) != e.skipped {
			t.Errorf("%s: %d records, %v", e.file, len(recs), errs)
			continue
		}
		for i, rec := range recs {
			if d := keyfile.Differences(rec, accounts()[i]); len(d) > 0 {
				t.Errorf("%s: record %d differs in %v", e.file, i, d)
			}
		}
	}
}
