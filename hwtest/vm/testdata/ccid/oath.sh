# ykman and the OATH application by libccid: a code that waits for a touch longer than libccid waits for an answer.
blinking() { [[ $(vkeyd state) == *light=blinking* ]]; }
oath() { ykman --reader "Yubico YubiKey" oath "$@"; }
start_vkeyd 5.4.3
attach_key
start_pcscd
oath accounts add -f -t -o HOTP -d 8 count GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ
oath accounts code count >/run/code &
code=$!
wait_for 60 blinking
sleep 4 # the time is what is tested
blinking || fail "it gave up: $(cat /run/code)"
press 1
wait $code
want "code" "$(grep -o '[0-9]*$' /run/code)" 84755224
[[ $(vkeyd accounts) == *'"count" HOTP factor=1'* ]] || fail "$(vkeyd accounts)"
