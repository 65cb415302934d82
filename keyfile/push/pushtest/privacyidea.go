package pushtest

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// APIToken is accepted without a login, as one made by pi-manage is.
const APIToken = "eyJhbGciOi.an-api-token.signature"

// NewPrivacyIDEA starts a privacyIDEA.
func NewPrivacyIDEA(t testing.TB) *Double {
	mux := http.NewServeMux()
	d := start(t, mux)
	mux.HandleFunc("POST /auth", d.piAuth)
	mux.HandleFunc("POST /token/init", d.piSigned(d.piInit))
	mux.HandleFunc("POST /token/disable", d.piSigned(func(w http.ResponseWriter, r *http.Request) { d.piSwitch(w, r, false) }))
	mux.HandleFunc("POST /token/enable", d.piSigned(func(w http.ResponseWriter, r *http.Request) { d.piSwitch(w, r, true) }))
	mux.HandleFunc("GET /token/", d.piSigned(d.piList))
	return d
}

func piValue(w http.ResponseWriter, value, detail any) {
	reply(w, http.StatusOK, map[string]any{"id": 1, "jsonrpc": "2.0", "detail": detail, "result": map[string]any{"status": true, "value": value}, "version": "privacyIDEA 3.12"})
}

func piError(w http.ResponseWriter, status, code int, message string) {
	reply(w, status, map[string]any{"id": 1, "jsonrpc": "2.0", "detail": nil, "version": "privacyIDEA 3.12",
		"result": map[string]any{"status": false, "error": map[string]any{"code": code, "message": message}}})
}

// piParams are the parameters of a form or of JSON; of any other body there are none.
func piParams(r *http.Request) map[string]string {
	out := map[string]string{}
	if f := form(r); f != nil {
		for k := range f {
			out[k] = f.Get(k)
		}
		return out
	}
	if r.Header.Get("Content-Type") != "application/json" {
		return out
	}
	var v map[string]any
	b, _ := io.ReadAll(r.Body)
	if json.Unmarshal(b, &v) != nil {
		return out
	}
	for k, x := range v {
		switch x := x.(type) {
		case string:
			out[k] = x
		case float64:
			out[k] = strconv.Itoa(int(x))
		}
	}
	return out
}

func (d *Double) piAuth(w http.ResponseWriter, r *http.Request) {
	p := piParams(r)
	if p["username"] != Account || p["password"] != Password {
		piError(w, http.StatusUnauthorized, 4031, "Authentication failure. Wrong credentials")
		return
	}
	piValue(w, map[string]any{"token": d.give("eyJ0eXAi.session."), "role": "admin", "username": Account, "realm": ""}, nil)
}

func (d *Double) piSigned(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch t := r.Header.Get("Authorization"); {
		case t == "":
			piError(w, http.StatusUnauthorized, 4033, "Authentication failure. Missing Authorization header.")
		case t != APIToken && !d.isValid(t):
			piError(w, http.StatusUnauthorized, 4033, "Authentication failure. Your token has expired: "+t)
		default:
			next(w, r)
		}
	}
}

func (d *Double) piInit(w http.ResponseWriter, r *http.Request) {
	p := piParams(r)
	kind := strings.ToLower(p["type"])
	if kind == "" {
		kind = "hotp"
	}
	serial := p["serial"]
	bad := func(code int, message string) { piError(w, http.StatusBadRequest, code, message) }
	if !regexp.MustCompile(`^[0-9a-zA-Z\-_]+$`).MatchString(serial) || len(serial) > 40 {
		bad(905, "ERR905: Invalid serial number. Must comply to regexp.")
		return
	}
	key, err := hex.DecodeString(p["otpkey"])
	digits, digitsErr := strconv.Atoi(p["otplen"])
	switch {
	case p["otpkey"] == "":
		bad(905, "ERR905: Missing parameter: 'otpkey'")
	case err != nil:
		bad(905, "ERR905: otpkey "+p["otpkey"]+" is not hexadecimal")
	case kind != "hotp" && kind != "totp" && kind != "yubikey":
		bad(905, "ERR905: Unknown token type '"+kind+"'")
	case kind == "yubikey" && (len(key) != 16 || digits < 32):
		bad(905, "ERR905: otpkey must be 32 hex characters, otplen 32 at least")
	case digitsErr != nil || kind != "yubikey" && digits != 6 && digits != 8:
		bad(905, "ERR905: otplen")
	case kind != "yubikey" && p["hashlib"] != "sha1" && p["hashlib"] != "sha256" && p["hashlib"] != "sha512":
		bad(905, "ERR905: unsupported hashlib")
	case p["user"] != "" && (!d.Users[p["user"]] || p["realm"] != Realm):
		bad(904, "ERR904: The user can not be found in any resolver in this realm!")
	default:
		d.piMake(w, kind, serial, key, p)
	}
}

func (d *Double) piMake(w http.ResponseWriter, kind, serial string, key []byte, p map[string]string) {
	d.Lock()
	defer d.Unlock()
	t := d.Tokens[serial]
	if t == nil {
		t = &Token{Active: true}
		d.Tokens[serial] = t
	} else if t.Type != kind {
		piError(w, http.StatusBadRequest, 905, "ERR905: initToken: token already exist with type "+t.Type+". Can not initialize token with new type "+kind)
		return
	}
	t.Type, t.Key, t.User, t.Params, t.Made = kind, key, p["user"], p, t.Made+1
	piValue(w, true, map[string]any{"serial": serial, "otpkey": map[string]string{"value": "seed://" + p["otpkey"]}}) // it tells the key once
}

func (d *Double) piSwitch(w http.ResponseWriter, r *http.Request, on bool) {
	serial := piParams(r)["serial"]
	d.Lock()
	defer d.Unlock()
	t := d.Tokens[serial]
	switch {
	case t == nil:
		piError(w, http.StatusNotFound, 601, "The requested token could not be found.")
	case t.Revoked:
		piError(w, http.StatusBadRequest, 10, "ERR10: This action is not possible, since the token is locked")
	default:
		n := 0
		if t.Active != on {
			t.Active, n = on, 1
		}
		piValue(w, n, nil)
	}
}

func (d *Double) piList(w http.ResponseWriter, r *http.Request) {
	d.Lock()
	defer d.Unlock()
	list := []any{}
	for serial, t := range d.Tokens {
		if !strings.EqualFold(serial, r.URL.Query().Get("serial")) {
			continue
		}
		digits, _ := strconv.Atoi(t.Params["otplen"])
		info := map[string]any{"tokenkind": "software"}
		for _, k := range []string{"hashlib", "timeStep", "yubikey.prefix"} {
			if v, ok := t.Params[k]; ok {
				info[k] = v
			}
		}
		list = append(list, map[string]any{"serial": serial, "tokentype": t.Type, "active": t.Active, "revoked": t.Revoked, "locked": t.Revoked,
			"otplen": digits, "count": 0, "description": t.Params["description"], "username": t.User, "realms": []string{Realm}, "info": info})
	}
	piValue(w, map[string]any{"count": len(list), "current": 1, "next": nil, "prev": nil, "tokens": list}, nil)
}
