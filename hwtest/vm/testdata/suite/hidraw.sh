# The suite over hidraw.
start_vkeyd 5.4.3
attach_key
TOKENDESK_SUITE_TRANSPORT=hidraw TOKENDESK_SUITE_SERIAL=$SERIAL "$GUEST_DIR/suite.test" -test.run '^TestInGuest$' -test.v
