# What we wrote with an access code ykpersonalize cannot overwrite and ykman cannot delete without it; with it they can.
start_vkeyd 5.4.3
attach_key
code=0a0b0c0d0e0f
for transport in libusb hidraw; do
	"$GUEST_DIR/slot" $transport write 1 $PUBLIC $PRIVATE $KEY $code -
	refused ykpersonalize -1 -y -a$KEY -ofixed=cccccccccccc -ouid=$PRIVATE -oserial-api-visible
	refused ykpersonalize -1 -y -c010203040506 -a$KEY -ofixed=cccccccccccc -ouid=$PRIVATE -oserial-api-visible
	want "still ours" "$(opened $PRIVATE $KEY "$(typed 1)")" "$PUBLIC 1 0"
	ykpersonalize -1 -y -c$code -a$KEY -ofixed=cccccccccccc -ouid=$PRIVATE -oserial-api-visible
	want "theirs" "$(opened $PRIVATE $KEY "$(typed 1)")" "000000000000 1 0"
	"$GUEST_DIR/slot" $transport write 1 $PUBLIC $PRIVATE $KEY - $code # -c kept it
done
"$GUEST_DIR/slot" hidraw write 2 $PUBLIC $PRIVATE $KEY $code -
refused ykman otp delete 2 -f
ykman otp --access-code $code delete 2 -f
