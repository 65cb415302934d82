# What Debian's ykman can do, random, by its own commands and by our program: equal bytes, equal presses.
source "$GUEST_DIR/walk.sh"
differ 5.4.3 ykman "$(<"$GUEST_DIR/sets")"
