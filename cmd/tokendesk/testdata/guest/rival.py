"""Runs ykman's own "otp" commands, or challenges by yubikit, on one key, one line of JSON each: ["hotp", "1", …] or {"challenge": HEX,
"slot": N}. Answers one line: {"ok": text} or {"error": why}.
"""
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from ykman.cli.otp import otp
from ykman.cli.util import YkmanContextObject
from ykman.hid.linux import HidrawConnection
from yubikit.management import ManagementSession
from yubikit.yubiotp import YubiOtpSession


def do(job):
    with HidrawConnection(sys.argv[1]) as conn:
        if isinstance(job, dict):
            return YubiOtpSession(conn).calculate_hmac_sha1(job["slot"], bytes.fromhex(job["challenge"])).hex()
        context = YkmanContextObject()
        context.add_resolver("conn", lambda: conn)
        context.add_resolver("info", lambda: ManagementSession(conn).read_device_info())
        otp.main(job, "ykman otp", standalone_mode=False, obj=context)
        return ""


for line in sys.stdin:
    said = StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            answer = {"ok": do(json.loads(line))}
    except (Exception, SystemExit) as e:
        answer = {"error": "%s: %s %s" % (type(e).__name__, e, said.getvalue())}
    print(json.dumps(answer), flush=True)
