# Random option sets by ykpersonalize and by our program, with updates, swaps and erases between them: equal bytes, equal presses.
source "$GUEST_DIR/walk.sh"
sets=$(<"$GUEST_DIR/sets")
differ 5.4.3 ykpersonalize $((sets * 2 / 3))
differ 2.4.3 ykpersonalize $((sets - sets * 2 / 3))
