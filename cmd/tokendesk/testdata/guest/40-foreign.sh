# Keys programmed by ykpersonalize and by ykman are imported as Yubico CSV; what they type verifies.
PROGRAM=tokendesk-pure TRANSPORT=auto
source "$GUEST_DIR/walk.sh"
start_vkeyd 5.4.3
attach_key
td init
said=$(ykpersonalize -1 -y -ofixed=vvccccbtvrgb -ouid=$PRIVATE -oserial-api-visible -oallow-update 2>&1)
private=$(sed -n 's/^uid: //p' <<<"$said")
key=$(sed -n 's/^key: h://p' <<<"$said")
echo "$SERIAL,vvccccbtvrgb,${private// /},$key,,2026-01-02T03:04:05," >/run/ykpersonalize.csv
said=$(ykman otp yubiotp 2 -S -g -G -f 2>&1)
public=$(sed -n 's/.*public ID: *//p' <<<"$said")
[[ -n $public ]] || public=$(sed -n 's/.*serial number as public ID: *//p' <<<"$said")
private=$(sed -n 's/.*private ID: *//p' <<<"$said")
key=$(sed -n 's/.*secret key: *//p' <<<"$said")
echo "$SERIAL,$public,$private,$key,,2026-01-02T03:04:06," >/run/ykman.csv
td keyfile import /run/ykpersonalize.csv
td keyfile import /run/ykman.csv
for slot in 1 2; do
	otp=$(typed $slot)
	td verify <<<"$otp"
	refused td verify <<<"$otp"
done
