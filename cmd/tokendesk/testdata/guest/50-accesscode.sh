# What we wrote is overwritten by ykpersonalize with our access code, and refused without it.
PROGRAM=tokendesk TRANSPORT=libusb
source "$GUEST_DIR/walk.sh"
start_vkeyd 5.4.3
attach_key
td init
provision_touched 1
code=$(cd $STORE && "$GUEST_DIR/escrowed")
[[ $code =~ ^[0-9a-f]{12}$ ]] || fail "no access code"
refused ykpersonalize -1 -y -a$KEY -ofixed=cccccccccccc -ouid=$PRIVATE -oserial-api-visible
verified 1
ykpersonalize -1 -y -c"$code" -a$KEY -ofixed=cccccccccccc -ouid=$PRIVATE -oserial-api-visible
want "theirs" "$(opened $PRIVATE $KEY "$(typed 1)")" "000000000000 1 0"
