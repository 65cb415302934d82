package ykslot

import (
	"cmp"
	"fmt"
	"strings"
)

// Version is a firmware version, as in status bytes 1 to 3.
type Version struct{ Major, Minor, Patch uint8 }

// String is "5.4.3".
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// Compare is negative, 0 or positive as v is older than, equal to or newer than w.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch))
}

// AtLeast reports whether v is major.minor.patch or newer.
func (v Version) AtLeast(major, minor, patch uint8) bool {
	return v.Compare(Version{major, minor, patch}) >= 0
}

// span is a range of firmware: from inclusive, before exclusive. A zero before has no end.
type span struct{ from, before Version }

func (s span) has(v Version) bool {
	return v.Compare(s.from) >= 0 && (s.before == Version{} || v.Compare(s.before) < 0)
}

// spans is where something exists.
type spans []span

func (s spans) has(v Version) bool {
	for _, r := range s {
		if r.has(v) {
			return true
		}
	}
	return false
}

func (s spans) String() string {
	var parts []string
	for _, r := range s {
		switch {
		case r.before == Version{}:
			parts = append(parts, fmt.Sprintf("%v or newer", r.from))
		default:
			parts = append(parts, fmt.Sprintf("%v or newer but older than %v", r.from, r.before))
		}
	}
	return strings.Join(parts, ", or ")
}

// Shorthands for the tables.
var (
	v1  = spans{{from: Version{1, 0, 0}}}
	v20 = spans{{from: Version{2, 0, 0}}}
	v21 = spans{{from: Version{2, 1, 0}}}
	v22 = spans{{from: Version{2, 2, 0}}}
	v23 = spans{{from: Version{2, 3, 0}}}
)

// Feature is something that depends on firmware.
type Feature uint8

// The features. Source of their firmware: reference yubikey-otp.md §3.4.
const (
	FeatureSlot2 Feature = iota
	FeatureHOTP
	FeatureHOTPMovingFactor // a first counter other than 0
	FeatureChallengeResponse
	FeatureSerial
	FeatureUpdate
	FeatureSwap
	FeatureScanMap
	FeatureDeviceInfo
	FeatureUpdateAccessCode // update changes the access code
	FeatureNDEF
	FeatureMode         // USB mode
	FeatureDeviceConfig // settings of the whole key
)

var features = map[Feature]struct {
	name string
	in   spans
}{
	// 2.1.4 to 2.1.x are NEO betas, which have one slot: §1.7.
	FeatureSlot2:             {"slot 2", spans{{Version{2, 0, 0}, Version{2, 1, 4}}, {from: Version{2, 2, 0}}}},
	FeatureHOTP:              {"OATH-HOTP", v21},
	FeatureHOTPMovingFactor:  {"a first HOTP counter other than 0", spans{{from: Version{2, 1, 7}}}},
	FeatureChallengeResponse: {"challenge-response", v22},
	FeatureSerial:            {"reading the serial number", v22},
	FeatureUpdate:            {"updating a slot", v23},
	FeatureSwap:              {"swapping slots", v23},
	FeatureScanMap:           {"the scan map", spans{{from: Version{3, 0, 0}}}},
	FeatureDeviceInfo:        {"device information", spans{{from: Version{4, 1, 0}}}},
	FeatureNDEF:              {"NDEF", spans{{Version{2, 1, 4}, Version{2, 2, 0}}, {Version{3, 0, 0}, Version{4, 0, 0}}, {from: Version{5, 0, 0}}}},
	FeatureMode:              {"the USB mode", spans{{Version{3, 0, 0}, Version{5, 0, 0}}}},
	FeatureDeviceConfig:      {"writing device settings", spans{{from: Version{5, 0, 0}}}},
	// 4.3.2 to 4.3.5 keep the old code: §1.7.
	FeatureUpdateAccessCode: {"changing an access code without writing the slot anew", spans{{Version{2, 3, 0}, Version{4, 3, 2}}, {from: Version{4, 3, 6}}}},
}

// Supported is nil, or an *UnsupportedError when firmware v does not have the feature.
func (f Feature) Supported(v Version) error {
	row := features[f]
	if row.in.has(v) {
		return nil
	}
	return &UnsupportedError{What: row.name, Needs: row.in.String(), Have: v}
}

// UnsupportedError: this firmware does not have a feature or ignores a flag.
type UnsupportedError struct {
	What  string  // the feature or the flag's name
	Needs string  // firmware in words: "2.3.0 or newer"
	Have  Version // of the key
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s needs firmware %s; this key has %v", e.What, e.Needs, e.Have)
}
