# The suite's main cases over hidraw in the build without C, on the oldest firmware.
start_vkeyd 2.4.3
attach_key
TOKENDESK_SUITE_TRANSPORT=hidraw TOKENDESK_SUITE_SERIAL=$SERIAL "$GUEST_DIR/suite-pure.test" -test.run '^TestInGuest$/(status|serial|prove|access|keyboard|unplug)' -test.v
