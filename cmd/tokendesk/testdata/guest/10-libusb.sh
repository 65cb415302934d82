# The cgo build finds the key by libusb, programs it, and proves it by a touch read from the interrupt endpoint.
PROGRAM=tokendesk TRANSPORT=libusb
source "$GUEST_DIR/walk.sh"
whole_walk
