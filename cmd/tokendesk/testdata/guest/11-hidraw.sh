# The same over hidraw.
PROGRAM=tokendesk TRANSPORT=hidraw
source "$GUEST_DIR/walk.sh"
whole_walk
