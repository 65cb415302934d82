# A key programmed by ykpersonalize types OTPs that open with the values it printed.
start_vkeyd 5.4.3
attach_key
said=$(ykpersonalize -1 -y -ofixed=vvccccbtvrgb -ouid=$PRIVATE -oserial-api-visible -oallow-update 2>&1)
echo "$said"
private=$(sed -n 's/^uid: //p' <<<"$said")
key=$(sed -n 's/^key: h://p' <<<"$said")
keyboard_back
for session in 0 1; do
	otp=$(typed 1)
	want "OTP $session" "$(opened "$private" "$key" "$otp")" "ff00001dfc51 1 $session"
done
