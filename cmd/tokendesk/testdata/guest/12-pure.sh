# The same with the build without C, which chooses hidraw by itself.
PROGRAM=tokendesk-pure TRANSPORT=auto
source "$GUEST_DIR/walk.sh"
whole_walk
