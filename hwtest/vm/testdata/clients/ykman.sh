# A key programmed by ykman types OTPs that open with the values it printed.
start_vkeyd 5.4.3
attach_key
said=$(ykman otp yubiotp 2 -S -g -G -f 2>&1)
echo "$said"
private=$(sed -n 's/.*private ID: *//p' <<<"$said")
key=$(sed -n 's/.*secret key: *//p' <<<"$said")
otp=$(typed 2)
want "OTP" "$(opened "$private" "$key" "$otp")" "ff00$(printf %08x $SERIAL) 1 0"
