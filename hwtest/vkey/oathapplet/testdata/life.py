"""Debian's ykman at work on the virtual OATH applications in the readers named: what each of them did, as one JSON object a line."""
import json
import sys
import time

from click.testing import CliRunner
from ykman.cli.__main__ import cli
from ykman.pcsc import list_devices
from yubikit.core import BadResponseError, NotSupportedError
from yubikit.core.smartcard import ApduError, SmartCardConnection
from yubikit.oath import CredentialData, HASH_ALGORITHM, OATH_TYPE, OathSession

SEED = b"1234567890" * 7
BASE32 = "GEZDGNBVGY3TQOJQ"


def run(reader, *args):
    r = CliRunner().invoke(cli, ["--reader", reader, "oath", *args])
    return r.output.strip().splitlines() if r.exit_code == 0 else "exit code %d" % r.exit_code


def word(call, *args, **names):
    """What a call answers; a status word where it is refused."""
    try:
        return call(*args, **names)
    except ApduError as e:
        return "%04x" % e.sw
    except (BadResponseError, NotSupportedError) as e:
        return type(e).__name__


def put(s, name, kind=OATH_TYPE.TOTP, algorithm=HASH_ALGORITHM.SHA1, digits=6, counter=0, size=20, touch=False, period=30):
    answer = word(s.put_credential, CredentialData(name, kind, algorithm, SEED[:size], digits, period, counter), touch)
    return answer if isinstance(answer, str) else "put"


def life(connection):
    s = OathSession(connection)
    out = {"version": str(s.version), "salted": s.device_id}
    out["put"] = [put(s, "1", digits=8), put(s, "256", algorithm=HASH_ALGORITHM.SHA256, digits=8, size=32),
        put(s, "512", algorithm=HASH_ALGORITHM.SHA512, digits=8, size=64), put(s, "minute", period=60),
        put(s, "count", OATH_TYPE.HOTP, counter=1), put(s, "touch", touch=True)]
    out["all"] = {k.id.decode(): v.value if v else None for k, v in s.calculate_all(59).items()}
    by = {k.id.decode(): k for k in s.list_credentials()}
    out["hotp"] = [s.calculate_code(by["count"]).value for _ in range(3)]
    out["touched"] = s.calculate_code(by["touch"], 59).value
    out["renamed"] = word(lambda: s.rename_credential(b"touch", "touched", "Issuer").decode())
    out["deleted"] = word(s.delete_credential, b"nobody")
    s.delete_credential(b"count")
    out["prefix"] = [put(s, "minutes"), put(s, "minu")]
    out["list"] = [k.id.decode() for k in s.list_credentials()]
    s.set_key(s.derive_key("secret"))
    t = OathSession(connection)
    out["locked"] = [t.locked, word(t.list_credentials), word(t.validate, t.derive_key("wrong"))]
    t = OathSession(connection)
    t.validate(t.derive_key("secret"))
    fill = 0
    while fill < 100:
        answer = put(t, "%064d" % fill)
        if answer != "put":
            break
        fill += 1
    out["capacity"] = [len(t.list_credentials()), answer]
    t.reset()
    out["reset"] = [t.locked, t.list_credentials(), t.device_id != out.pop("salted")]
    return out


def commands(reader):
    """The program itself."""
    return [
        run(reader, "accounts", "add", "-f", "-i", "Nextcloud", "ada", BASE32 * 2),
        run(reader, "accounts", "add", "-f", "-o", "HOTP", "-d", "8", "count", BASE32 * 2),
        run(reader, "accounts", "add", "-f", "-a", "SHA256", "-P", "60", "short", BASE32),
        run(reader, "accounts", "list", "-o", "-P"),
        run(reader, "accounts", "code", "count"),
        run(reader, "accounts", "add", "Nextclou", BASE32),
        run(reader, "access", "change", "-n", "secret"),
        run(reader, "accounts", "delete", "-f", "-p", "wrong", "count"),
        run(reader, "accounts", "delete", "-f", "-p", "secret", "count"),
        run(reader, "accounts", "list", "-p", "secret"),
        run(reader, "reset", "-f"),
    ]


for reader in sys.argv[1:]:
    while True:  # pcscd notices cards twice a second
        try:
            connection = list_devices(reader)[0].open_connection(SmartCardConnection)
            break
        except Exception:
            time.sleep(0.05)
    with connection:
        said = life(connection)
    said["commands"] = commands(reader)
    print(json.dumps(said, sort_keys=True), flush=True)
