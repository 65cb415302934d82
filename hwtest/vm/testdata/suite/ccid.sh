# The suite over pcscd and libccid, with presses read over hidraw. Nothing here tells pcscd of keys that come and go.
start_vkeyd 5.4.3
attach_key
start_pcscd
TOKENDESK_SUITE_TRANSPORT=ccid TOKENDESK_SUITE_SERIAL=$SERIAL "$GUEST_DIR/suite.test" -test.run '^TestInGuest$/(status|serial|device|prove|overwrite|delete|swap|access|update|exclusive|close|reports|left)' -test.v
