# Challenges of every length, and random ones, answered by yubikit, by ykchalresp and by our program.
source "$GUEST_DIR/walk.sh"
sets=$(<"$GUEST_DIR/sets")
differ 5.4.3 challenge $((sets < 200 ? 63 : 563))
