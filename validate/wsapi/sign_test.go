package wsapi_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/validate/wsapi"
)

// TestSign has every signed text of reference validation-protocol.md §4 and yubikey-otp.md §4.4.
func TestSign(t *testing.T) {
	t.Parallel()
	other, err := base64.StdEncoding.DecodeString("mG5be6ZJU1qBGz24yPh/ESM3UdU=")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, key, text, want string }{
		{"request", clientKey, "id=1&nonce=askjdnkajsndjkasndkjsnad&otp=vvcccccccccbjlehvrcjcekuvrfuucndbfgjkcdnhlji&sl=50&timeout=8&timestamp=1", "o9vm+1DAM9k9t6OaYUsUMtW+jlw="},
		{"answer", clientKey, "nonce=askjdnkajsndjkasndkjsnad&otp=vvcccccccccbjlehvrcjcekuvrfuucndbfgjkcdnhlji&sessioncounter=1&sessionuse=0&sl=0&status=OK&t=2024-05-06T07:08:09Z0123&timestamp=1000", "2qKAahCrHB6EZevi/D8pq7dgvQ8="},
		{"replay", clientKey, "nonce=askjdnkajsndjkasndkjsnad&otp=vvcccccccccbjlehvrcjcekuvrfuucndbfgjkcdnhlji&status=REPLAYED_OTP&t=2024-05-06T07:08:09Z0123", "BYNyZtCk+09ZojmzVSldsVEDRFc="},
		{"bad otp", clientKey, "status=BAD_OTP&t=2024-05-06T07:08:09Z0123", "36Wz4qyVVHkcd5rJ8nh79YFS6bk="},
		{"bad otp, empty key", "", "status=BAD_OTP&t=2024-05-06T07:08:09Z0123", "12wmXMiNnOhjLU5gpWPm6fet9bA="},
		{"missing", "", "status=MISSING_PARAMETER&t=2024-05-06T07:08:09Z0123", "KdH2DNkXBEaHVMVDphFvaj5TUhs="},
		{"no client", "", "status=NO_SUCH_CLIENT&t=2024-05-06T07:08:09Z0123", "EOw/pEvFREXZb/6akXNDmPJ3qcM="},
		{"1.0 request", clientKey, "id=1&otp=vvcccccccccbjlehvrcjcekuvrfuucndbfgjkcdnhlji&timestamp=1", "l7l8kU61MpxFfkAQruwZp6H6PVI="},
		{"1.0 answer", clientKey, "sessioncounter=1&sessionuse=0&status=OK&t=2024-05-06T07:08:09Z0123&timestamp=1000", "z8XHs/02lPZcjTPSF8jDQdtIdx0="},
		{"+ and / in h", clientKey, "id=1&nonce=nonce0000000000000007&otp=vvcccccccccbjlehvrcjcekuvrfuucndbfgjkcdnhlji", "fep07nyH0u/oe4yDvFhMnSOB+wA="},
		{"Yubico's request", string(other), "id=1&nonce=jrFwbaYFhn0HoxZIsd9LQ6w2ceU&otp=vvungrrdhvtklknvrtvuvbbkeidikkvgglrvdgrfcdft", "+ja8S3IjbX593/LAgTBixwPNGX4="},
		{"Yubico's answer", string(other), "status=OK&t=2019-06-06T05:14:15Z0369&nonce=0123456789abcdef&otp=cccccckdvvulethkhtvkrtbeukiettvfceekurncllcj&sl=25", "iCV9uFJDtuyELQsxFPnR80Yj2XU="},
	} {
		params := map[string]string{"h": "left out"}
		for pair := range strings.SplitSeq(tc.text, "&") {
			name, value, _ := strings.Cut(pair, "=")
			params[name] = value
		}
		if got := wsapi.Sign(secret.New([]byte(tc.key)), params); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

// TestWorkedExample sends the worked requests, in this order, and compares the answers to the byte. In a wanted answer \n
// stands for CRLF and @ for the t line.
func TestWorkedExample(t *testing.T) {
	t.Parallel()
	const v2, v1, id = "/wsapi/2.0/verify?", "/wsapi/verify?", "id=1&nonce=" + nonce + "&otp="
	const echo = "@\notp=" + workedOTP + "\nnonce=" + nonce + "\n"
	const counters = "timestamp=1000\nsessioncounter=1\nsessionuse=0\nstatus=OK\n\n"
	for _, order := range [][]struct{ name, url, want string }{{
		{"missing", v2, "h=KdH2DNkXBEaHVMVDphFvaj5TUhs=\n@\nstatus=MISSING_PARAMETER\n\n"},
		{"no client", v2 + "id=4711&nonce=" + nonce + "&otp=" + workedOTP, "h=EOw/pEvFREXZb/6akXNDmPJ3qcM=\n@\nstatus=NO_SUCH_CLIENT\n\n"},
		{"bad otp", v2 + id + "x", "h=36Wz4qyVVHkcd5rJ8nh79YFS6bk=\n@\nstatus=BAD_OTP\n\n"},
		{"OK", v2 + id + workedOTP + "&sl=50&timeout=8&timestamp=1&h=o9vm%2B1DAM9k9t6OaYUsUMtW%2Bjlw%3D", "h=2qKAahCrHB6EZevi/D8pq7dgvQ8=\n" + echo + "sl=0\n" + counters},
	}, {
		{"1.0", v1 + "id=1&otp=" + workedOTP + "&timestamp=1&h=l7l8kU61MpxFfkAQruwZp6H6PVI%3D", "h=z8XHs/02lPZcjTPSF8jDQdtIdx0=\n@\n" + counters},
		{"replay", v2 + id + workedOTP, "h=BYNyZtCk+09ZojmzVSldsVEDRFc=\n" + echo + "status=REPLAYED_OTP\n\n"},
	}} {
		s := newSite(t)
		s.handler.Allow1x = true
		host := strings.TrimSuffix(serve(t, s.handler), v2)
		for _, tc := range order {
			want := strings.NewReplacer("\n", "\r\n", "@\n", "t=2024-05-06T07:08:09Z0123\r\n").Replace(tc.want)
			if got := fetch(t, host+tc.url); got != want {
				t.Errorf("%s: got %q, want %q", tc.name, got, want)
			}
		}
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
