# One composite key, never unplugged: its slot, an OATH account and PIV in one run, while another program has the card. Then Debian's ykman,
# yubico-piv-tool and OpenSC read and use what we wrote, and we what ykman wrote.
PROGRAM=tokendesk TRANSPORT=libusb
source "$GUEST_DIR/walk.sh"
modprobe -d "$GUEST_MODULES" unix_diag # by it the kernel tells who is connected to pcscd
MODULE=$(ls /usr/lib/*/opensc-pkcs11.so | head -1)

# hold HOW, let_go: another program with the card, as scdaemon has it.
hold() {
	/usr/bin/python3 "$GUEST_DIR/holder.py" "$1" /run/holds >/run/holder.log 2>&1 & holder=$!
	wait_for 60 test -e /run/holds || { cat /run/holder.log; fail "nothing holds the card"; }
}
let_go() { rm -f /run/holds; wait $holder || { cat /run/holder.log; fail "the holder"; }; }

# on_pcscd N: so many programs are connected to the smart-card service.
on_pcscd() { [[ $(grep -c ' 03 .*/run/pcscd/pcscd.comm$' /proc/net/unix) -ge $1 ]]; }

# kept WHAT: what the store keeps for the key.
kept() {
	rm -f "/run/$1"
	td piv secret $SERIAL --what "$1" --reason "the scenario" --out "/run/$1"
	cat "/run/$1"
}

# tries WANT: what hosts tried since the key was made: tries left, and tried wrongly by PIN/PUK/management key.
tries() { want "tries" "$(vkeyd piv | sed -E 's/^(pin=[0-9]+ puk=[0-9]+) .* (wrong=[0-9/]+) .*$/\1 \2/')" "$1"; }

start_vkeyd 5.4.3
attach_key
start_pcscd
td init
td person add ada
wait_for 60 td oath list

# In one run; between slot and card another program is in a transaction, for a moment.
begin provision --slot 2 --to ada --oath Portal:ada --piv --piv-slot 9a --piv-self-signed
hold transaction
press 2
wait_for 60 on_pcscd 2 || { cat /run/shown /run/said; fail "the run does not come to the card"; }
let_go
wait $running || { cat /run/shown /run/said; fail "the run"; }
cat /run/shown /run/said
want "accounts" "$(vkeyd accounts)" 'locked=false; "Portal:ada" TOTP hash=1 digits=6 touch=false'
tries "pin=3 puk=3 wrong=0/0/0"
keyboard_back
verified 2

# While it is held for long, it is said by whom, and nothing is lost.
hold shared
refused td oath list 2>&1 | tee /run/refused
grep -q "may be python3 (process $holder)" /run/refused
grep -q 'scdaemon' /run/refused
refused td piv status 2>&1 | tee /run/refused
grep -q "may be python3 (process $holder)" /run/refused
refused td provision --oath Other:ada --to ada 2>&1 | tee /run/refused
grep -q "may be python3 (process $holder)" /run/refused
let_go
td provision --oath Other:ada --to ada
hold exclusive
td doctor >/run/doctor 2>&1 || true
grep -q "process $holder" /run/doctor || { cat /run/doctor; fail "doctor does not say who holds the card"; }
let_go

# ykman reads our account, and we read ykman's.
want "accounts by ykman" "$(ykman oath accounts list | sort)" $'Other:ada\nPortal:ada'
same_code() { [[ $(ykman oath accounts code --single Portal:ada) == "$(td oath code Portal:ada -o csv | grep -oE '[0-9]{6}' | tail -1)" ]]; }
wait_for 60 same_code || fail "another code than ykman's"
ykman oath accounts add --oath-type HOTP --issuer Theirs bob GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ
td oath list | tee /run/shown
grep -q 'Theirs *bob *hotp' /run/shown
td oath code Theirs:bob | tee /run/shown
grep -q 755224 /run/shown

# PIV: what we set up.
PIN=$(kept pin) MANAGEMENT=$(kept management-key)
ykman piv info | tee /run/shown
grep -q 'PIN tries remaining: *3/3' /run/shown
grep -qE 'Subject DN:\s*CN=ada' /run/shown
yubico-piv-tool -a status | tee /run/shown
grep -q $'PIN tries left:\t3' /run/shown
grep -q 'Subject DN:.*CN=ada' /run/shown
yubico-piv-tool -a verify-pin -P "$PIN" 2>&1 | tee /run/shown
grep -q 'Successfully verified PIN' /run/shown
cd /run
echo text >data
yubico-piv-tool -a read-certificate -s 9a -o cert
openssl verify -CAfile cert cert
openssl x509 -in cert -noout -pubkey >public
yubico-piv-tool -a verify-pin -P "$PIN" --sign -s 9a -A ECCP256 -i data -o signed
openssl dgst -sha256 -verify public -signature signed data
opensc-tool -n 2>&1 | tee /run/shown
grep -q 'Personal Identity Verification' /run/shown
pkcs11-tool --module "$MODULE" --login --pin "$PIN" --sign -m ECDSA-SHA256 --signature-format openssl --id 01 -i data -o signed.opensc
openssl dgst -sha256 -verify public -signature signed.opensc data
tries "pin=3 puk=3 wrong=0/0/0"

# And what ykman makes with the management key and PIN that we set.
ykman piv keys generate -m "$MANAGEMENT" -P "$PIN" -a ECCP256 9c theirs
ykman piv certificates generate -m "$MANAGEMENT" -P "$PIN" -s CN=bob 9c theirs
td piv status | tee shown
grep -q 'CN=bob' shown
td piv csr 9c --subject CN=bob --out request
openssl req -in request -noout -verify
openssl req -in request -noout -pubkey | cmp - theirs
vkeyd root | fold -w 64 | sed $'1i-----BEGIN CERTIFICATE-----\n$a-----END CERTIFICATE-----' >root
td piv attest 9a --roots root
cd /
tries "pin=3 puk=3 wrong=0/0/0"
keyboard_back
stop_pcscd
stop_vkeyd
