# The suite over libusb.
start_vkeyd 5.4.3
attach_key
TOKENDESK_SUITE_TRANSPORT=libusb TOKENDESK_SUITE_SERIAL=$SERIAL "$GUEST_DIR/suite.test" -test.run '^TestInGuest$' -test.v
