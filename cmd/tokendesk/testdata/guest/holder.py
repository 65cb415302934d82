"""Holds the card of the first key that pcscd shows, as other programs do: holder.py shared|exclusive|transaction FILE. It makes FILE once it
holds the card, and lets go and ends when FILE is gone. "shared" is what GnuPG's scdaemon and OpenSC do, "transaction" what they do while they work.
"""
import os
import sys
import time

from smartcard import scard


def must(result):
    if result[0] != scard.SCARD_S_SUCCESS:
        sys.exit(scard.SCardGetErrorMessage(result[0]))
    return result[1:]


how, path = sys.argv[1:]
(context,) = must(scard.SCardEstablishContext(scard.SCARD_SCOPE_USER))
(readers,) = must(scard.SCardListReaders(context, []))
reader = next(r for r in readers if "Yubi" in r)
share = scard.SCARD_SHARE_EXCLUSIVE if how == "exclusive" else scard.SCARD_SHARE_SHARED
card, _ = must(scard.SCardConnect(context, reader, share, scard.SCARD_PROTOCOL_ANY))
if how == "transaction":
    must([scard.SCardBeginTransaction(card)])
open(path, "w").close()
while os.path.exists(path):
    time.sleep(0.05)
if how == "transaction":
    must([scard.SCardEndTransaction(card, scard.SCARD_LEAVE_CARD)])
must([scard.SCardDisconnect(card, scard.SCARD_LEAVE_CARD)])
