//go:build (cgo || windows) && !nopcsc

package pcsc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/ebfe/scard"

	"github.com/tokendesk/tokendesk/usbhid"
)

// Available says whether this build has smart cards.
const Available = true

// system is the service by github.com/ebfe/scard.
type system struct{ ctx *scard.Context }

func establish() (service, error) {
	ctx, err := scard.EstablishContext()
	if err != nil {
		return nil, cause(err)
	}
	return system{ctx}, nil
}

// atOnce asks for the states as they are now.
const atOnce = time.Duration(0)

func (s system) readers() ([]Reader, error) {
	names, err := s.ctx.ListReaders()
	if errors.Is(err, scard.ErrNoReadersAvailable) || err == nil && len(names) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, cause(err)
	}
	states := make([]scard.ReaderState, len(names))
	for i, n := range names {
		states[i].Reader = n
	}
	if err := s.ctx.GetStatusChange(states, atOnce); err != nil && !errors.Is(err, scard.ErrTimeout) {
		return nil, cause(err)
	}
	list := make([]Reader, len(names))
	for i, st := range states {
		list[i] = Reader{Name: st.Reader, Held: st.EventState&scard.StateExclusive != 0}
		if st.EventState&scard.StatePresent != 0 {
			list[i].ATR = append([]byte{}, st.Atr...)
		}
	}
	return list, nil
}

func (s system) connect(reader string) (handle, error) {
	card, err := s.ctx.Connect(reader, scard.ShareExclusive, scard.ProtocolAny)
	if err != nil {
		return nil, cause(err)
	}
	return held{card}, nil
}

func (s system) release() error {
	if err := s.ctx.Release(); err != nil {
		return cause(err)
	}
	return nil
}

// held is a handle by github.com/ebfe/scard.
type held struct{ card *scard.Card }

func (h held) transmit(command []byte) ([]byte, error) {
	answer, err := h.card.Transmit(command)
	if err != nil {
		return nil, cause(err)
	}
	return answer, nil
}

func (h held) atr() ([]byte, error) {
	st, err := h.card.Status()
	if err != nil {
		return nil, cause(err)
	}
	return st.Atr, nil
}

// usbChannel marks a reader on USB in SCARD_ATTR_CHANNEL_ID, a number in the machine's order of bytes: 0020, bus, address. Source:
// PC/SC part 3 §3.1.2; libccid.
const usbChannel = 0x0020

func (h held) port() (bus, address int, ok bool) {
	b, err := h.card.GetAttrib(scard.AttrChannelId)
	if err != nil || len(b) < 4 {
		return 0, 0, false
	}
	n := binary.NativeEndian.Uint32(b)
	return int(n >> 8 & 0xFF), int(n & 0xFF), n>>16 == usbChannel
}

// disconnect leaves the card as it is: nobody else can be connected to it, nothing here verifies a PIN, and the service turns it off by
// itself. Resetting a card that was pulled out meanwhile makes pcscd 1.9.9 blind, with vpcd, for the next one in that reader.
func (h held) disconnect() error {
	err := cause(h.card.Disconnect(scard.LeaveCard))
	if errors.Is(err, usbhid.ErrGone) || errors.Is(err, ErrNoCard) {
		return nil // what was pulled out is given back
	}
	return err
}

// causes translates what PC/SC says.
var causes = map[scard.Error]error{
	scard.ErrNoService: ErrNoService, scard.ErrServiceStopped: ErrNoService, scard.ErrShutdown: ErrNoService,
	scard.ErrSecurityViolation: ErrDenied, scard.ErrNoAccess: ErrDenied,
	scard.ErrSharingViolation: usbhid.ErrBusy, scard.ErrServerTooBusy: usbhid.ErrBusy,
	scard.ErrUnknownReader: usbhid.ErrGone, scard.ErrReaderUnavailable: usbhid.ErrGone, scard.ErrRemovedCard: usbhid.ErrGone,
	scard.ErrInvalidHandle: usbhid.ErrGone, // after its reader went
	scard.ErrNoSmartcard:   ErrNoCard, scard.ErrUnresponsiveCard: ErrNoCard, scard.ErrUnpoweredCard: ErrNoCard,
	scard.ErrNotTransacted: ErrNoCard, scard.ErrCommError: ErrNoCard, scard.ErrCommDataLost: ErrNoCard,
	scard.ErrTimeout: usbhid.ErrTimeout,
}

// Cause is what a code of PC/SC stands for, for those who reach the service by other means: an error that wraps those of this package and of
// usbhid.
func Cause(code uint32) error { return cause(scard.Error(code)) }

func cause(err error) error {
	var code scard.Error
	if !errors.As(err, &code) {
		return err
	}
	if why, ok := causes[code]; ok {
		return fmt.Errorf("%w (%08x)", why, uint32(code))
	}
	return err
}
